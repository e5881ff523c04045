"""Periodic jobs, each of which one of all workers runs."""

from django.db import models
from django.db.models.functions import Now


class PeriodicJob(models.Model):
    """When a periodic job is due. The worker that advances `due_at` runs it."""

    name = models.CharField(primary_key=True, max_length=50)
    due_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "periodic_jobs"

    def __str__(self) -> str:
        return self.name
