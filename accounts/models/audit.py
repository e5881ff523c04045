"""The audit log, an append-only table."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.client_networks import IPV6_BITS
from core import ids
from core.ids import uuid7


class AuditOutcome(models.TextChoices):
    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"
    DENIED = "denied", "denied"
    ERROR = "error", "error"


class AuditEventQuerySet(models.QuerySet):
    def since(self, time: datetime):
        """Return the events of this moment and later, by the index of their ids."""
        return self.filter(id__gte=ids.lowest(time))

    def before(self, time: datetime):
        """Return the events before this moment."""
        return self.filter(id__lt=ids.lowest(time))

    def from_network_of(self, address: str | None):
        """Return the events from this address, or from the network of an IPv6 address."""
        if address is None:
            return self.filter(client_ip=None)
        bits = IPV6_BITS if ":" in address else 32
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
