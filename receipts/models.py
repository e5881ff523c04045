from django.db import models

from core.ids import uuid7
from core.scoping import OwnedModel, ScopedQuerySet
from receipts import server_keys, verification
from receipts.documents import FLAT, NESTED, AmbiguousJSON, parse
from receipts.keys import PublicKey
from receipts.verification import NotValid, Verified


class ReceiptKey(models.Model):
    """A public key that has signed on this server. It remains listed, and verifies, permanently."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key_id = models.CharField(max_length=255, unique=True)
    public_key = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True, help_text="When it first signed.")

    class Meta:
        db_table = "receipt_keys"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.key_id

    @property
    def key(self) -> PublicKey:
        return PublicKey(bytes(self.public_key), self.key_id)


class Receipt(OwnedModel):
    """A signed document, stored as it was signed. The other columns serve lists and filters."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    receipt_id = models.CharField(max_length=255, help_text="The issuer's id of the receipt.")
    form = models.CharField(max_length=6, choices={NESTED: "nested", FLAT: "flat"})
    receipt_type = models.CharField(
        max_length=6, choices={"single": "one call", "batch": "several calls"}
    )
    timestamp = models.DateTimeField(help_text="The time that the receipt states.")
    provider = models.CharField(max_length=255)
    model = models.CharField(max_length=255)
    alias = models.CharField(max_length=255)
    profile = models.CharField(max_length=255)
    total_tokens = models.BigIntegerField()
    total_cost = models.DecimalField(max_digits=38, decimal_places=12, help_text="US dollars.")
    key_id = models.CharField(max_length=255, help_text="The key that signed it.")
    document = models.TextField(help_text="RFC 8785 text of the whole receipt, signature included.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "receipts"
        ordering = ["-timestamp", "-id"]
        indexes = [
            models.Index(fields=["project_id", "-timestamp", "-id"], name="receipts_project_newest")
        ]
        constraints = [
            models.UniqueConstraint(fields=["project_id", "receipt_id"], name="receipt_id_once")
        ]

    def __str__(self) -> str:
        return self.receipt_id

    @property
    def content(self) -> dict:
        """The document as a JSON value. Raises AmbiguousJSON for a text that was altered."""
        return parse(self.document.encode())

    def verify(self) -> Verified:
        """Verify the stored text now; return the trusted key that signed it. Raises NotValid."""
        try:
            return verification.verify(self.content, server_keys.trusted())
        except AmbiguousJSON as error:
            raise NotValid(str(error)) from None

    @property
    def is_verified(self) -> bool:
        """Whether the stored text has a signature of a trusted key, computed now."""
        try:
            self.verify()
        except NotValid:
            return False
        return True


class LogType(models.TextChoices):
    USAGE = "usage", "usage log"
    CONVERSATION = "conversation", "conversation"


class ReceiptLog(models.Model):
    """A log that a receipt certifies. Both ends are plain ids: a receipt may have a million.

    Indexes begin with the project, as those of the ledger do, so that both can be
    merge-joined.

    A conversation whose calls are in the ledger is counted by them; it has a row
    that is not `counted`, so that it is not certified again without them.
    """

    pk = models.CompositePrimaryKey("project_id", "receipt", "log_id")
    project_id = models.UUIDField()
    receipt = models.ForeignKey(
        Receipt, models.CASCADE, db_constraint=False, db_index=False, related_name="logs"
    )
    log_id = models.UUIDField()
    log_type = models.CharField(max_length=12, choices=LogType)
    counted = models.BooleanField(help_text="Whether its numbers are in the receipt's sums.")
    since_last = models.BooleanField(help_text="Whether it took only logs that no other had.")
    certified_at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "receipt_logs"
        indexes = [models.Index(fields=["project_id", "log_id"], name="receipt_logs_log_id")]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "log_id"],
                condition=models.Q(since_last=True, counted=True),
                name="receipt_logs_once_since_last",
            )
        ]

    def __str__(self) -> str:
        return f"{self.log_type} {self.log_id}"


class CertifiedDay(models.Model):
    """A UTC day whose calls were all certified when the ledger had this many entries of it.

    Entries only grow in number, so the day has nothing uncertified until they do.
    Without it, finding a few new calls would read all that were ever certified.
    """

    pk = models.CompositePrimaryKey("project_id", "day")
    project_id = models.UUIDField()
    day = models.DateField()
    entries = models.BigIntegerField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "receipt_days"

    def __str__(self) -> str:
        return f"{self.day}"
