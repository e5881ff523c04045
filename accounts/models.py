from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Collate, Lower, Now, NullIf
from django.utils import timezone

from accounts import api_keys, email_addresses
from accounts.person_models import (
    AttemptCount,
    BrowserSession,
    EmailToken,
    Identity,
    Invitation,
    KeyUse,
    Purpose,
    RetiredKey,
    SpentState,
)
from core import ids
from core.ids import uuid7

__all__ = [
    "Allowance",
    "ApiKey",
    "ApiKeyQuerySet",
    "AttemptCount",
    "AuditEvent",
    "AuditEventQuerySet",
    "AuditOutcome",
    "BrowserSession",
    "EmailToken",
    "Identity",
    "Invitation",
    "KeyUse",
    "LimitNotice",
    "Membership",
    "MonthlyLogs",
    "PeriodicJob",
    "Project",
    "ProjectQuerySet",
    "Purpose",
    "RequestWindow",
    "RetiredKey",
    "Role",
    "Scope",
    "SpentState",
    "Tier",
    "User",
    "Users",
]


class Users(UserManager):
    use_in_migrations = False

    def with_email(self, address: str) -> "User | None":
        """Return the person whose address it is, in any spelling of ASCII letters."""
        return self.filter(email_key=email_addresses.key(address)).first() if address else None

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the address as mail is sent to it: without the blanks around it."""
        return (email or "").strip()


class User(AbstractUser):
    """A person. Staff see the whole server; others the projects of their memberships."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The database's own, so that no program can store two spellings of one address.
    email_key = models.GeneratedField(
        expression=NullIf(Lower(Collate("email", "C")), Value("")),
        output_field=models.CharField(max_length=254, null=True),
        db_persist=True,
    )
    email_verified_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the person proved the address."
    )
    key_claim_until = models.DateTimeField(
        null=True, editable=False, help_text="Until then a first key can be retrieved, once."
    )

    objects = Users()

    class Meta:
        db_table = "users"
        ordering = ["username"]
        constraints = [
            models.UniqueConstraint(
                fields=["email_key"],
                name="users_email_once",
                violation_error_message="Another person has this e-mail address.",
            )
        ]

    def __str__(self) -> str:
        return self.email or self.username

    def get_full_name(self) -> str:
        """Return the person's name; who has none is named by the address."""
        return super().get_full_name() or str(self)


class Tier(models.Model):
    """What a project may use. Projects without one have no limits."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=50, unique=True)
    logs_per_month = models.BigIntegerField(
        null=True, blank=True, help_text="New logs in a UTC month. Empty: no limit."
    )
    retention_days = models.IntegerField(
        null=True, blank=True, help_text="Older logs are deleted. Empty: logs are kept."
    )
    requests_per_minute = models.IntegerField(
        null=True, blank=True, help_text="Of all keys of a project together. Empty: no limit."
    )

    class Meta:
        db_table = "tiers"
        ordering = ["requests_per_minute", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(logs_per_month__gte=0) | Q(logs_per_month=None),
                name="tiers_logs_per_month_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(retention_days__gte=1) | Q(retention_days=None),
                name="tiers_retention_days_positive",
            ),
            models.CheckConstraint(
                condition=Q(requests_per_minute__gte=0) | Q(requests_per_minute=None),
                name="tiers_requests_per_minute_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProjectQuerySet(models.QuerySet):
    def named(self, name_or_id: str) -> "Project | None":
        """The project with this id or, else, the oldest one of this name."""
        try:
            return self.filter(id=UUID(name_or_id)).first()
        except ValueError:
            return self.filter(name=name_or_id).order_by("id").first()

    def named_or_new(self, name_or_id: str) -> "Project":
        """The project of this name or id, made if there is none. Raises ValidationError."""
        name = name_or_id.strip()
        if (project := self.named(name)) is None:
            project = Project(name=name)
            project.full_clean()
            project.save()
        return project

    def real(self):
        """Projects that totals of the whole server are about: all but demo data."""
        return self.filter(is_demo=False)

    def demo(self):
        return self.filter(is_demo=True)


class Project(models.Model):
    """Owns rows. Its keys come and go; its data stays."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(
        null=True, editable=False, help_text="From then on its keys and tokens are refused."
    )
    tier = models.ForeignKey(
        Tier,
        on_delete=models.PROTECT,
        related_name="projects",
        null=True,
        blank=True,
        help_text="Empty: no limits.",
    )
    # Written by triggers, whoever lowers the retention (migration 0021).
    former_retention_days = models.IntegerField(
        null=True, editable=False, help_text="How long logs are kept until then. Empty: for ever."
    )
    former_retention_until = models.DateTimeField(null=True, editable=False)
    is_demo = models.BooleanField(
        "demo",
        default=False,
        db_default=False,  # for servers of the version before, until they are restarted
        editable=False,
        help_text="Made by `manage.py demo`: invented data, in no total of all projects.",
    )

    objects = ProjectQuerySet.as_manager()

    class Meta:
        db_table = "projects"
        ordering = ["-id"]
        permissions = [("make_demo", "Can make and remove the demo project")]
        constraints = [
            models.UniqueConstraint(
                fields=["is_demo"], condition=Q(is_demo=True), name="projects_one_demo"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Allowance(models.Model):
    """What its holder (a gateway token) may use in all, and what it has used.

    The counters are changed by the database's functions alone (accounts/limits.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    max_requests = models.BigIntegerField(
        null=True, blank=True, help_text="Requests in its whole life. Empty: no limit."
    )
    requests_per_minute = models.IntegerField(
        null=True, blank=True, help_text="In each minute of the database's clock. Empty: no limit."
    )
    budget_usd = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="US dollars in its whole life. Empty: no limit.",
    )
    requests = models.BigIntegerField(db_default=0, editable=False)
    minute = models.DateTimeField(
        null=True, editable=False, help_text="The minute that minute_requests counts."
    )
    minute_requests = models.IntegerField(db_default=0, editable=False)
    spent_usd = models.DecimalField(max_digits=38, decimal_places=12, db_default=0, editable=False)
    reserved_usd = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        db_default=0,
        editable=False,
        help_text="Bounds of the costs of calls whose costs are not known (yet).",
    )
    cache_hits = models.BigIntegerField(
        db_default=0, editable=False, help_text="Answers from the gateway's cache: not requests."
    )
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "allowances"
        constraints = [
            models.CheckConstraint(
                condition=Q(spent_usd__gte=0, reserved_usd__gte=0),
                name="allowances_not_negative",
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class RequestWindow(models.Model):
    """How many requests of a minute its holder (a project, an address) has been granted.

    Changed by the database's functions alone (accounts/request_limits.py).
    """

    holder = models.UUIDField(primary_key=True)
    minute = models.DateTimeField()
    granted = models.IntegerField(help_text="Leases that workers have not used are among them.")

    class Meta:
        db_table = "request_windows"

    def __str__(self) -> str:
        return f"{self.holder} {self.minute:%H:%M}"


class MonthlyLogs(models.Model):
    """How many logs of a project arrived in a UTC month. Only grows.

    Written by the statement that stores the logs, through the function count_logs.
    """

    pk = models.CompositePrimaryKey("project_id", "month")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="monthly_logs")
    month = models.DateField(help_text="Its first day.")
    logs = models.BigIntegerField()

    class Meta:
        db_table = "monthly_logs"

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}: {self.logs}"


class LimitNotice(models.Model):
    """What a project's owners have been told, each thing once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="limit_notices")
    subject = models.CharField(max_length=100, help_text="A limit, such as logs/2026-02.")
    percent = models.SmallIntegerField()
    sent_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "limit_notices"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "subject", "percent"], name="limit_notices_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.percent} %"


class PeriodicJob(models.Model):
    """When a job of the server is due. The worker that moves the time does it."""

    name = models.CharField(primary_key=True, max_length=50)
    due_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "periodic_jobs"

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner", "owner"
    ADMIN = "admin", "admin"
    MEMBER = "member", "member"
    VIEWER = "viewer", "viewer"


class Membership(models.Model):
    """What a person may do in a project."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "memberships"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="memberships_once"),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="memberships_role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


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


class ApiKeyQuerySet(models.QuerySet):
    def usable(self):
        """Keys that open their project now: not revoked, not expired, the project in use."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=Now()),
            revoked_at__isnull=True,
            is_pending=False,
            project__archived_at__isnull=True,
        )

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
    # A rotated key is one key with two values until the overlap ends: one row, one limit.
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
        """Make a key of the project. Returns its row and its text, which is not stored.

        Raises IntegrityError if there is one of this `id`, by default a new one.
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


class AuditOutcome(models.TextChoices):
    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"
    DENIED = "denied", "denied"
    ERROR = "error", "error"


class AuditEventQuerySet(models.QuerySet):
    def since(self, time: datetime):
        """Events of this moment and later, by the index of their ids."""
        return self.filter(id__gte=ids.lowest(time))

    def before(self, time: datetime):
        """Events before this moment."""
        return self.filter(id__lt=ids.lowest(time))

    def from_network_of(self, address: str | None):
        """Events from this address; from its network of 64 bits if it is of IPv6."""
        if address is None:
            return self.filter(client_ip=None)
        bits = 64 if ":" in address else 32
        return self.extra(
            where=["client_ip <<= set_masklen(%s::inet, %s)::cidr"], params=[address, bits]
        )


class AuditEvent(models.Model):
    """Something that changed access, or tried to. Written by accounts/audit.py alone.

    A trigger refuses changes and deletions. There are no foreign keys: an event outlives
    what it is about.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(default=timezone.now)
    action = models.CharField(max_length=50, help_text="Such as token.create.")
    outcome = models.CharField(max_length=10, choices=AuditOutcome)
    actor = models.CharField(
        max_length=100, help_text="management_token, user:ID, key:ID, command:NAME or anonymous."
    )
    user_id = models.UUIDField(null=True, help_text="The person it is about, or who did it.")
    api_key_id = models.UUIDField(null=True)
    project_id = models.UUIDField(null=True)
    token_id = models.UUIDField(null=True, help_text="A token of the gateway.")
    request_id = models.CharField(max_length=128, blank=True)
    client_ip = models.GenericIPAddressField(null=True)
    method = models.CharField(max_length=10, blank=True)
    path = models.CharField(max_length=500, blank=True)
    user_agent = models.CharField(max_length=500, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    details = models.JSONField(default=dict)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        db_table = "audit_events"
        verbose_name_plural = "audit log"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project_id", "id"], name="audit_events_project"),
            models.Index(fields=["action", "id"], name="audit_events_action"),
            models.Index(fields=["request_id"], name="audit_events_request"),
            models.Index(fields=["actor", "id"], name="audit_events_actor"),
            models.Index(fields=["user_id", "id"], name="audit_events_user"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=AuditOutcome.values), name="audit_events_outcome_is_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.outcome}"
