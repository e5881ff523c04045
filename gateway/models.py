from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Allowance, Project, in_state, state_of
from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.secrets import Sealed, SealedField, fingerprint
from gateway.masking import masked


class TokenQuerySet(models.QuerySet):
    def active(self):
        """Return the tokens that are admitted now: not revoked, not expired."""
        return self.filter(in_state("active"))

    def revoke(self) -> int:
        """Revoke the tokens; return how many were not yet. A trigger notifies all workers."""
        return self.filter(revoked_at__isnull=True).update(revoked_at=Now())


def _list_of(what: str) -> models.JSONField:
    return models.JSONField(null=True, blank=True, help_text=f"{what} Empty: all.")


class Token(models.Model):
    """A withering token: opens the gateway for one project. Only its digest is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="gateway_tokens")
    allowance = models.OneToOneField(Allowance, on_delete=models.PROTECT, editable=False)
    name = models.CharField(max_length=255, blank=True, help_text="Where the token is used.")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    hint = models.CharField(
        max_length=30, editable=False, help_text="The token with all but its ends masked."
    )
    upstream = models.CharField(
        max_length=50, blank=True, help_text="The only upstream it may call. Empty: all."
    )
    allowed_models = _list_of("Patterns of models, such as gpt-4o*.")
    allowed_endpoints = _list_of("Patterns of paths, such as /v1/chat/*.")
    allowed_origins = _list_of("Origins of browsers.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on it is refused. Empty: never."
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TokenQuerySet.as_manager()

    class Meta:
        db_table = "gateway_tokens"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name or self.hint

    @property
    def state(self) -> str:
        """`revoked`, `expired` or `active`."""
        return state_of(self)


class Upstream(models.Model):
    """An API that calls are relayed to, made in the admin; others stand in the YAML file."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.SlugField(max_length=50, unique=True)
    base_url = models.CharField(
        max_length=500, help_text="With its path, such as https://api.groq.com/openai/v1."
    )
    api_key = SealedField(null=True, blank=True)
    options = models.JSONField(
        default=dict, blank=True, help_text="The members that the YAML file has (docs/gateway.md)."
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "gateway_upstreams"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class UpstreamKey(models.Model):
    """A project's own key of an upstream, used instead of the server's."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="upstream_keys")
    upstream = models.CharField(max_length=50)
    api_key = SealedField()
    # Keyed, so that a copy of the database does not let anybody test guesses.
    digest = models.BinaryField(max_length=32, editable=False)
    hint = models.CharField(max_length=20, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "gateway_upstream_keys"
        constraints = [
            models.UniqueConstraint(fields=["project", "upstream"], name="gateway_keys_once")
        ]
        indexes = [models.Index(fields=["digest"], name="gateway_keys_digest")]

    def __str__(self) -> str:
        return f"{self.upstream} {self.hint}"

    @staticmethod
    def columns_of(key: str) -> dict[str, object]:
        """Return the columns that store a key."""
        return {"api_key": Sealed.of(key), "digest": fingerprint(key), "hint": masked(key)}


class CallState(models.TextChoices):
    PENDING = "pending", "in progress"
    BACKGROUND = "background", "the upstream works on it; a poll will show its usage"
    UNKNOWN = "unknown", "its cost is unknown: its reservation stays until it is released"


class Call(models.Model):
    """A call that has no final row in the ledger, or whose cost nobody knows.

    Written before the upstream is called, together with its reservation; the statement
    that writes the ledger's row deletes it, unless that row has no cost. `row` has the
    members of a report as far as they are known, so that a call whose worker was killed is
    still written.
    """

    id = models.UUIDField(primary_key=True, editable=False, help_text="The ledger's id, too.")
    project_id = models.UUIDField()
    token_id = models.UUIDField()
    allowance_id = models.UUIDField()
    worker_id = models.UUIDField()
    state = models.CharField(max_length=10, choices=CallState.choices, db_default=CallState.PENDING)
    started_at = models.DateTimeField()
    reserved_usd = models.DecimalField(max_digits=38, decimal_places=12)
    upstream = models.CharField(max_length=50)
    response_id = models.CharField(
        max_length=255, null=True, help_text="The upstream's id of a background answer."
    )
    row = ExactJSONField()

    class Meta:
        db_table = "gateway_calls"
        verbose_name_plural = "calls in progress"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["worker_id"], name="gateway_calls_worker"),
            models.Index(
                fields=["project_id", "response_id"],
                condition=Q(response_id__isnull=False),
                name="gateway_calls_response",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class CachedAnswer(models.Model):
    """An answer that is sent again for the same request of its project.

    The table is not logged: after a crash of the database it is empty.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project_id = models.UUIDField()
    upstream = models.CharField(max_length=50)
    method = models.CharField(max_length=10)
    url = models.TextField(help_text="The path and query that its client called.")
    digest = models.BinaryField(max_length=32, help_text="Of all that was asked for.")
    varies_by = models.JSONField(help_text="Names of the request's headers that `variant` is of.")
    variant = models.BinaryField(max_length=32)
    status = models.SmallIntegerField()
    headers = models.JSONField()
    body = models.BinaryField()
    size = models.IntegerField(help_text="Bytes that it takes, about.")
    age = models.IntegerField(help_text="Seconds, when it came.")
    stored_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "gateway_cached_answers"
        ordering = ["-stored_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "digest", "variant"], name="gateway_cached_once"
            )
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="gateway_cached_expiry"),
            HashIndex(fields=["url"], name="gateway_cached_url"),  # of any length
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class Worker(models.Model):
    """A process that relays calls, with its last heartbeat and the state of its breakers."""

    id = models.UUIDField(primary_key=True, editable=False)
    host = models.CharField(max_length=255)
    process_id = models.IntegerField()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    status = models.JSONField(default=dict)

    class Meta:
        db_table = "gateway_workers"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.host} {self.process_id}"

    @property
    def upstreams(self) -> dict[str, dict]:
        """The state of each upstream that the process calls, as `upstreams.status` reports it."""
        return self.status.get("upstreams", {})
