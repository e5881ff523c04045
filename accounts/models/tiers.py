"""Tiers, which limit projects."""

from django.db import models
from django.db.models import Q

from core.ids import uuid7


class Tier(models.Model):
    """The limits of all projects in the tier. Projects without a tier have none."""

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
