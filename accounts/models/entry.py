"""Sessions, mailed tokens, providers' identities, invitations, and counts of attempts."""

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone

from core.ids import uuid7


class BrowserSession(AbstractBaseSession):
    """A session with its person's id, so that all of a person's sessions can be ended."""

    user_id = models.UUIDField(null=True, db_index=True)

    class Meta:
        db_table = "browser_sessions"
        verbose_name = "session"

    @classmethod
    def get_session_store_class(cls):
        from accounts.sessions import SessionStore

        return SessionStore


class Purpose(models.TextChoices):
    RESET = "reset", "set a new password"
    VERIFY = "verify", "verify an address"


class EmailToken(models.Model):
    """A single-use secret that was mailed to a person; only its digest is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=10, choices=Purpose)
    digest = models.BinaryField(max_length=32, unique=True)
    email_key = models.CharField(max_length=254, help_text="The address that it was mailed to.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "email_tokens"

    def __str__(self) -> str:
        return f"{self.purpose} {self.user_id}"


class Identity(models.Model):
    """A person's account at a provider."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="identities")
    provider = models.CharField(max_length=20)
    subject = models.CharField(max_length=255, help_text="The provider's own id of the account.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "identities"
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["provider", "subject"], name="identities_once")
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.subject}"


class SpentState(models.Model):
    """The state of an OAuth login that has returned: each state is accepted once."""

    digest = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "spent_states"

    def __str__(self) -> str:
        return str(self.expires_at)


class Invitation(models.Model):
    """An invitation of one address to a project. Only the digest of its token is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(
        "accounts.Project", on_delete=models.CASCADE, related_name="invitations"
    )
    email = models.CharField(max_length=254)
    role = models.CharField(max_length=10)
    digest = models.BinaryField(max_length=32, unique=True)
    invited_by = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invitations"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.email

    @property
    def status(self) -> str:
        """`accepted`, `withdrawn`, `expired` or `open`."""
        if self.accepted_at:
            return "accepted"
        if self.withdrawn_at:
            return "withdrawn"
        return "open" if self.expires_at > timezone.now() else "expired"


class AttemptCount(models.Model):
    """How often something was tried in a window of the database's clock (accounts/attempts.py)."""

    bucket = models.BinaryField(max_length=32, unique=True)
    window_ends_at = models.DateTimeField(db_index=True)
    attempts = models.IntegerField()

    class Meta:
        db_table = "attempt_counts"

    def __str__(self) -> str:
        return f"{self.attempts} until {self.window_ends_at}"
