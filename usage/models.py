from decimal import Decimal

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import OwnedModel, ScopedQuerySet
from usage.reports.reported_usage import UsageStatus

DEFAULT_PROFILE = "default"  # of a call that names none
# The logs with which a list begins, by how it is sorted: by cost (US dollars) or latency. Few
# logs are free, expensive, quick or slow, so indexes of them are small.
ENDS = {
    "cost": Q(cost__lte=0),
    "-cost": Q(cost__gte=Decimal("0.1")),
    "latency_ms": Q(latency_ms__lt=200),
    "-latency_ms": Q(latency_ms__gte=20_000),
}


class CostSource(models.TextChoices):
    CALLER = "caller", "the caller"
    REGISTRY = "registry", "the registry's prices"
    UNPRICED = "unpriced", "unknown: no price"


class EntryType(models.TextChoices):
    CALL = "call", "a call"
    REVERSAL = "reversal", "takes a wrong entry back"
    REPLACEMENT = "replacement", "stands for a wrong entry"


def _class_column(what: str) -> models.BigIntegerField:
    return models.BigIntegerField(null=True, help_text=f"{what}; empty: none.")


class UsageLog(OwnedModel):
    """One call of a model, or a correction of one. Entries are never changed.

    The id carries the time of the call, so ranges of time are ranges of ids.
    Written by usage/ledger.py in one statement with its share of DailyUsage;
    rows made any other way are missing from the statistics.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(help_text="When the call happened.")
    received_at = models.DateTimeField(db_default=Now(), help_text="When this server stored it.")
    provider = models.CharField(max_length=50)
    model = models.CharField(max_length=255, help_text="As the caller named it.")
    priced_as = models.CharField(
        max_length=320, null=True, help_text="The registry's model whose prices were applied."
    )
    alias = models.CharField(max_length=128, null=True)
    profile = models.CharField(max_length=64)
    origin = models.CharField(max_length=255, null=True)
    id_at_origin = models.CharField(max_length=255, null=True)
    end_user = models.CharField(
        max_length=255, null=True, help_text="The caller's own name of the end user."
    )
    conversation_id = models.UUIDField(null=True)
    input_tokens = models.BigIntegerField(
        null=True, help_text="All prompt tokens, cached and written ones included; empty: unknown."
    )
    output_tokens = models.BigIntegerField(
        null=True, help_text="All completion tokens, thinking included; empty: unknown."
    )
    cached_input_tokens = models.BigIntegerField(
        db_default=0, help_text="Prompt tokens read from a cache."
    )
    cache_write_5m_tokens = _class_column("Prompt tokens written to a cache for five minutes")
    cache_write_1h_tokens = _class_column("Prompt tokens written to a cache for an hour")
    cache_write_tokens = _class_column("Prompt tokens written to a cache for an unstated time")
    audio_input_tokens = _class_column("Prompt tokens of audio")
    image_input_tokens = _class_column("Prompt tokens of images")
    thinking_tokens = _class_column("Completion tokens of thinking")
    audio_output_tokens = _class_column("Completion tokens of audio")
    image_output_tokens = _class_column("Completion tokens of images")
    units_and_modifiers = ExactJSONField(
        null=True, help_text="What else is billed, and the terms that change its price."
    )
    usage_status = models.CharField(
        max_length=9, choices=UsageStatus.choices, db_default=UsageStatus.SETTLED
    )
    read_as = models.CharField(
        max_length=100, db_default="flat", help_text="The form that the report was read as."
    )
    cost = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, help_text="US dollars; empty: no price known."
    )
    cost_source = models.CharField(max_length=8, choices=CostSource.choices)
    snapshot_id = models.BigIntegerField(
        null=True, help_text="The registry snapshot whose prices were applied."
    )
    custom_price_id = models.BigIntegerField(
        null=True, help_text="The operator's own price that was applied."
    )
    unpriced_reason = models.CharField(max_length=500, null=True)
    latency_ms = models.BigIntegerField(null=True)
    # Of calls through the gateway.
    upstream = models.CharField(
        max_length=50, null=True, help_text="The gateway's upstream; empty: reported by a client."
    )
    requested_model = models.CharField(
        max_length=255, null=True, help_text="What the client asked for; `model` is what served."
    )
    http_status = models.SmallIntegerField(
        null=True, help_text="The upstream's answer; empty: there was none."
    )
    first_byte_ms = models.BigIntegerField(
        null=True, help_text="Until the first data of the answer."
    )
    error = models.CharField(
        max_length=255, null=True, help_text="What went wrong with the call, if anything did."
    )
    event_id = models.CharField(
        max_length=300, null=True, help_text="The client's own id of the event, for safe retries."
    )
    fingerprint = models.CharField(
        max_length=32,
        null=True,
        help_text="Digest of the event, which distinguishes a retry from a reused id.",
    )
    entry_type = models.CharField(
        max_length=11, choices=EntryType.choices, db_default=EntryType.CALL
    )
    corrects_id = models.UUIDField(null=True, help_text="The entry that this one corrects.")
    correction_reason = models.CharField(max_length=500, null=True)
    correction_author = models.CharField(
        max_length=100, null=True, help_text="The key or the person that corrected it."
    )
    metadata = ExactJSONField(default=dict)

    class Meta:
        db_table = "usage_logs"
        verbose_name = "log"
        ordering = ["-id"]
        permissions = [("correct_usagelog", "Can correct logs")]
        indexes = [
            models.Index(fields=["project_id", "id"], name="usage_logs_project_id"),
            models.Index(
                fields=["project_id", "conversation_id"],
                condition=Q(conversation_id__isnull=False),
                name="usage_logs_conversation_id",
            ),
            # Few logs are corrections, unsettled or unpriced, and people look for those.
            models.Index(
                fields=["-id"], condition=~Q(entry_type="call"), name="usage_logs_corrections"
            ),
            models.Index(
                fields=["-id"], condition=~Q(usage_status="settled"), name="usage_logs_unsettled"
            ),
            models.Index(
                fields=["-id"], condition=Q(cost_source="unpriced"), name="usage_logs_unpriced"
            ),
            models.Index(
                F("cost").asc(),
                F("id").desc(),
                condition=ENDS["cost"],
                name="usage_logs_free",
            ),
            models.Index(
                F("cost").desc(nulls_last=True),
                F("id").desc(),
                condition=ENDS["-cost"],
                name="usage_logs_expensive",
            ),
            models.Index(
                F("latency_ms").asc(),
                F("id").desc(),
                condition=ENDS["latency_ms"],
                name="usage_logs_quick",
            ),
            models.Index(
                F("latency_ms").desc(nulls_last=True),
                F("id").desc(),
                condition=ENDS["-latency_ms"],
                name="usage_logs_slow",
            ),
            # A digest for each MiB of rows: ids of other systems come in no order, and a tree
            # of them would make groups of writes a fifth slower.
            BrinIndex(
                fields=["id_at_origin"],
                opclasses=["text_bloom_ops"],
                autosummarize=True,
                name="usage_logs_id_at_origin",
            ),
            # Rows arrive in its order, so a few pages of index find the latest of any table.
            BrinIndex(fields=["received_at"], name="usage_logs_received_at"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "event_id"],
                condition=Q(event_id__isnull=False),
                name="usage_logs_event_once",
            ),
            models.UniqueConstraint(
                fields=["project_id", "corrects_id", "entry_type"],
                condition=Q(corrects_id__isnull=False),
                name="usage_logs_corrected_once",
            ),
            models.CheckConstraint(
                condition=Q(entry_type=EntryType.REVERSAL)
                | (Q(input_tokens__gte=0, output_tokens__gte=0) & (Q(cost=None) | Q(cost__gte=0)))
                | Q(input_tokens=None, output_tokens=None, cost=None),
                name="usage_logs_only_reversals_are_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} {self.created_at:%Y-%m-%d %H:%M:%S}"


def _sum_of_tokens(*, null: bool = False) -> models.DecimalField:
    return models.DecimalField(max_digits=38, decimal_places=0, null=null)


class DailyUsage(models.Model):
    """Sums over a project's logs of one UTC day, updated by the statement that writes the logs.

    A label that a log lacks is the empty string here; a class without tokens may be NULL.
    Reversals count negatively.
    """

    pk = models.CompositePrimaryKey("project_id", "day", "labels")
    project_id = models.UUIDField()
    day = models.DateField()
    # SHA-256 of the labels: together they can be longer than an index allows.
    labels = models.BinaryField(max_length=32)
    provider = models.CharField(max_length=50)
    model = models.CharField(max_length=255)
    alias = models.CharField(max_length=128)
    origin = models.CharField(max_length=255)
    profile = models.CharField(max_length=64)
    api_key_id = models.CharField(max_length=36)
    priced_as = models.CharField(max_length=320)
    entries = models.BigIntegerField(help_text="Rows of the ledger, reversals too; only grows.")
    requests = models.BigIntegerField()
    unpriced_requests = models.BigIntegerField()
    unknown_requests = models.BigIntegerField()
    cost = models.DecimalField(max_digits=50, decimal_places=12)
    input_tokens = _sum_of_tokens()
    output_tokens = _sum_of_tokens()
    cached_input_tokens = _sum_of_tokens()
    cache_write_5m_tokens = _sum_of_tokens(null=True)
    cache_write_1h_tokens = _sum_of_tokens(null=True)
    cache_write_tokens = _sum_of_tokens(null=True)
    audio_input_tokens = _sum_of_tokens(null=True)
    image_input_tokens = _sum_of_tokens(null=True)
    thinking_tokens = _sum_of_tokens(null=True)
    audio_output_tokens = _sum_of_tokens(null=True)
    image_output_tokens = _sum_of_tokens(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "usage_daily"
        verbose_name_plural = "daily usage"

    def __str__(self) -> str:
        return f"{self.day} {self.provider}:{self.model}"
