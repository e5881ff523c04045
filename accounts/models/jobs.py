"""What runs at times, on one of all workers."""

from django.db import models
from django.db.models.functions import Now


class PeriodicJob(models.Model):
    """When a job of the server is due. The worker that moves the time does it."""

    name = models.CharField(primary_key=True, max_length=50)
    due_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "periodic_jobs"

    def __str__(self) -> str:
        return self.name
