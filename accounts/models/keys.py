"""API keys, digests of former ones, and when keys were last used."""

from datetime import datetime
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import api_keys
from accounts.models.people import User
from accounts.models.projects import Project
from core.ids import uuid7
from core.scoping import ScopedQuerySet


class Scope(models.TextChoices):
    READ = "read", "read"
    LOG = "log", "log calls and conversations"
    ALL = "all", "everything"


def every_scope() -> list[str]:
    return [Scope.ALL.value]


def state_of(credential: models.Model) -> str:
    """Return `revoked`, `expired` or `active`, for a row with both times."""
    if credential.revoked_at:
        return "revoked"
    if credential.expires_at and credential.expires_at <= timezone.now():
        return "expired"
    return "active"


def in_state(state: str) -> Q:
    """Return the condition under which `state_of` is this one."""
    if state == "revoked":
        return Q(revoked_at__isnull=False)
    if state == "expired":
        return Q(revoked_at__isnull=True, expires_at__lte=Now())
    return Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))


class ApiKeyQuerySet(ScopedQuerySet):
    def usable(self):
        """Return the keys that open their project now: active, verified, the project in use."""
        return self.filter(in_state("active"), is_pending=False, project__archived_at__isnull=True)

    def revoke(self) -> int:
        """Revoke the keys permanently; return how many. A trigger notifies all workers."""
        return self.filter(revoked_at__isnull=True).update(revoked_at=Now())


class ApiKey(models.Model):
    """Opens one project. Only its digest is stored: nobody can read the key again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=255, blank=True, help_text="Where the key is used.")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    hint = models.CharField(
        max_length=20, blank=True, editable=False, help_text="The first characters of the key."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on the key is refused. Empty: never."
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=20, choices=Scope),
        default=every_scope,
        help_text="What the key may do: read, log, all. Empty: nothing.",
    )
    # A rotated key has two values until the overlap ends. It stays one row: one id, one limit.
    previous_digest = models.BinaryField(max_length=32, null=True, unique=True, editable=False)
    previous_expires_at = models.DateTimeField(null=True, editable=False)
    rotation = models.BinaryField(
        max_length=32, null=True, editable=False, help_text="Digest of the last rotation's key."
    )
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    is_from_login = models.BooleanField(
        default=False, editable=False, help_text="A login gave it: a reset password ends it."
    )
    is_pending = models.BooleanField(
        default=False, editable=False, help_text="Until the person's address is verified."
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = "api_keys"
        ordering = ["-id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name or self.hint or str(self.id)

    @property
    def state(self) -> str:
        """`revoked`, `pending`, `expired` or `active`."""
        state = state_of(self)
        return "pending" if self.is_pending and state != "revoked" else state

    @property
    def overlap_ends_at(self) -> datetime | None:
        """When the value before the last rotation stops working; None if it has."""
        if self.previous_expires_at is None or self.state != "active":
            return None
        end = min(filter(None, [self.previous_expires_at, self.expires_at]))
        return end if end > timezone.now() else None

    @classmethod
    def issue(
        cls,
        project: Project,
        *,
        name: str = "",
        expires_at=None,
        id: UUID | None = None,
        **columns,
    ) -> tuple["ApiKey", str]:
        """Create a key of the project; return its row, and its text, which is not stored.

        Raises IntegrityError if `id` exists; by default it is generated.
        """
        text = api_keys.generate()
        row = cls.objects.create(
            id=id or uuid7(),
            project=project,
            name=name,
            digest=api_keys.digest(text),
            hint=api_keys.hint(text),
            expires_at=expires_at,
            **columns,
        )
        return row, text


class RetiredKey(models.Model):
    """The digest of a former key, which never opens a project again.

    A trigger on api_keys writes it, whatever program deletes or rotates the key.
    """

    digest = models.BinaryField(max_length=32, unique=True)

    class Meta:
        db_table = "retired_keys"

    def __str__(self) -> str:
        return bytes(self.digest).hex()


class KeyUse(models.Model):
    """When a key was last used. A separate table: changes of api_keys empty the key caches."""

    key = models.OneToOneField(
        ApiKey, on_delete=models.CASCADE, primary_key=True, related_name="use"
    )
    last_used_at = models.DateTimeField()

    class Meta:
        db_table = "key_uses"

    def __str__(self) -> str:
        return str(self.last_used_at)
