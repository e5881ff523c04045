from django.db import models

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import OwnedModel

# Labels of a log that daily sums are kept by, in the order of their digest.
LABELS = ("provider", "model", "alias", "origin", "profile")
# What is summed for each combination of labels.
SUMS = (
    "requests",
    "unpriced_requests",
    "cost",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
)


class CostSource(models.TextChoices):
    CALLER = "caller", "the caller"
    REGISTRY = "registry", "the registry's prices"
    UNPRICED = "unpriced", "unknown: no price"


class UsageLog(OwnedModel):
    """One call of a model. Its id carries the time, so ranges of time are ranges of ids.

    Written by usage/ledger.py in one statement with its share of DailyUsage;
    rows made any other way are missing from the statistics.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField()
    provider = models.CharField(max_length=50)
    model = models.CharField(max_length=255)
    alias = models.CharField(max_length=128, null=True)
    profile = models.CharField(max_length=64)
    origin = models.CharField(max_length=255, null=True)
    id_at_origin = models.CharField(max_length=255, null=True)
    conversation_id = models.UUIDField(null=True)
    input_tokens = models.BigIntegerField(help_text="All prompt tokens, cached ones included.")
    output_tokens = models.BigIntegerField(help_text="All completion tokens, thinking included.")
    cached_input_tokens = models.BigIntegerField(help_text="Prompt tokens read from a cache.")
    cost = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, help_text="US dollars; empty: no price known."
    )
    cost_source = models.CharField(max_length=8, choices=CostSource.choices)
    snapshot_id = models.BigIntegerField(
        null=True, help_text="The registry snapshot whose prices were applied."
    )
    latency_ms = models.BigIntegerField(null=True)
    event_id = models.CharField(
        max_length=300, null=True, help_text="The client's own id of the event, for safe retries."
    )
    fingerprint = models.CharField(
        max_length=32,
        null=True,
        help_text="Digest of the event, which distinguishes a retry from a reused id.",
    )
    metadata = ExactJSONField(default=dict)

    class Meta:
        db_table = "usage_logs"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project_id", "id"], name="usage_logs_project_id"),
            models.Index(
                fields=["project_id", "conversation_id"],
                condition=models.Q(conversation_id__isnull=False),
                name="usage_logs_conversation_id",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "event_id"],
                condition=models.Q(event_id__isnull=False),
                name="usage_logs_event_once",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    input_tokens__gte=0,
                    output_tokens__gte=0,
                    cached_input_tokens__gte=0,
                    cached_input_tokens__lte=models.F("input_tokens"),
                ),
                name="usage_logs_tokens_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(cost__isnull=True) | models.Q(cost__gte=0),
                name="usage_logs_cost_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} {self.created_at:%Y-%m-%d %H:%M:%S}"


class DailyUsage(models.Model):
    """Sums over a project's logs of one UTC day, updated by the statement that writes the logs.

    A missing alias or origin is the empty text here.
    """

    pk = models.CompositePrimaryKey("project_id", "day", "labels")
    project_id = models.UUIDField()
    day = models.DateField()
    # SHA-256 of the five labels: together they can be longer than an index allows.
    labels = models.BinaryField(max_length=32)
    provider = models.CharField(max_length=50)
    model = models.CharField(max_length=255)
    alias = models.CharField(max_length=128)
    origin = models.CharField(max_length=255)
    profile = models.CharField(max_length=64)
    requests = models.BigIntegerField()
    unpriced_requests = models.BigIntegerField()
    cost = models.DecimalField(max_digits=50, decimal_places=12)
    input_tokens = models.DecimalField(max_digits=38, decimal_places=0)
    output_tokens = models.DecimalField(max_digits=38, decimal_places=0)
    cached_input_tokens = models.DecimalField(max_digits=38, decimal_places=0)

    class Meta:
        db_table = "usage_daily"
        verbose_name_plural = "daily usage"

    def __str__(self) -> str:
        return f"{self.day} {self.provider}:{self.model}"
