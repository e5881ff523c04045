from django.db import models
from django.utils import timezone

from core.ids import uuid7
from core.scoping import ScopedQuerySet


class IdempotentRequest(models.Model):
    """The reply to a request with an `Idempotency-Key`, for its retries."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project_id = models.UUIDField()
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the route and the key.")
    body_digest = models.CharField(max_length=64)
    reply = models.TextField(null=True, help_text="JSON; null while the request is carried out.")
    subject_id = models.UUIDField(
        null=True, help_text="The row that the reply is about, and is deleted with."
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "idempotent_requests"
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "fingerprint"], name="idempotent_requests_one_per_key"
            )
        ]
        indexes = [
            models.Index(fields=["project_id", "subject_id"], name="idempotent_requests_subject"),
            models.Index(fields=["created_at"], name="idempotent_requests_by_age"),
        ]

    def __str__(self) -> str:
        return f"reply of {self.created_at:%Y-%m-%d %H:%M:%S}"
