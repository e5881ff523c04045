from datetime import UTC, datetime, timedelta

from django.db import models
from django.db.models import Max, Q

from registry_proxy.versions import Dated

RETRY_SECONDS = 15  # a failed attempt to reach upstream is not repeated before


class RegistryFile(models.Model):
    """One file of the public registry, byte for byte as it came."""

    path = models.CharField(max_length=255, help_text="Where upstream publishes it.")
    sha256 = models.CharField(max_length=64, help_text="SHA-256 of the bytes, hexadecimal.")
    body = models.BinaryField()
    etag = models.CharField(max_length=255, blank=True)
    last_modified = models.CharField(max_length=255, blank=True)
    fetched_at = models.DateTimeField()

    class Meta:
        db_table = "registry_files"
        constraints = [
            models.UniqueConstraint(fields=["path", "sha256"], name="registry_file_content_once")
        ]

    def __str__(self) -> str:
        return self.path


class SnapshotQuerySet(models.QuerySet):
    def newest(self) -> "Snapshot | None":
        return self.order_by("-id").first()

    def named(self, dated: Dated):
        """The snapshot of this name, or none."""
        return self.filter(taken_on=dated.day, ordinal=dated.ordinal)

    def after(self, dated: Dated):
        """The snapshots later than this name, which need not exist itself."""
        return self.filter(
            Q(taken_on__gt=dated.day) | Q(taken_on=dated.day, ordinal__gt=dated.ordinal)
        )

    def changed(self):
        """Newest first, the snapshots in which some model differs from the snapshot before."""
        return self.filter(change_count__gt=0).order_by("-id")

    def next_name(self, now: datetime) -> Dated:
        """The name of a snapshot taken now."""
        day = now.astimezone(UTC).date()
        last = self.filter(taken_on=day).aggregate(last=Max("ordinal", default=0))["last"]
        return Dated(day, last + 1)


class Snapshot(models.Model):
    """The whole registry, from one change of its content to the next.

    Usage rows keep the plain id of the snapshot that they were priced from.
    """

    id = models.AutoField(primary_key=True)
    taken_on = models.DateField(help_text="The day (UTC) on which this content was first seen.")
    ordinal = models.PositiveSmallIntegerField(help_text="Counts the snapshots of a day from 1.")
    version = models.CharField(
        max_length=64, blank=True, help_text="What upstream's manifest calls this state."
    )
    digest = models.CharField(
        max_length=64,
        help_text="SHA-256 (hexadecimal) of the RFC 8785 form of the provider documents.",
    )
    model_count = models.PositiveIntegerField()
    changes = models.JSONField(help_text="What differs from the snapshot before.")
    change_count = models.PositiveIntegerField()
    fetched_at = models.DateTimeField()
    files = models.ManyToManyField(RegistryFile, through="SnapshotFile", related_name="snapshots")

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        db_table = "registry_snapshots"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["taken_on", "ordinal"], name="registry_snapshot_name")
        ]

    def __str__(self) -> str:
        return str(self.dated)

    @property
    def dated(self) -> Dated:
        """The name under which this state can be asked for, for good."""
        return Dated(self.taken_on, self.ordinal)

    def changelog_entry(self) -> dict:
        """The snapshot's part of the changelog (docs/http-contract.md, "Registry")."""
        return {"version": str(self.dated), "date": self.taken_on, "entries": self.changes}


class SnapshotFile(models.Model):
    """A file belongs to all snapshots in which it stood unchanged."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE)
    file = models.ForeignKey(RegistryFile, on_delete=models.PROTECT)

    class Meta:
        db_table = "registry_snapshot_files"
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "file"], name="registry_snapshot_file_once")
        ]

    def __str__(self) -> str:
        return f"{self.snapshot_id}: {self.file_id}"


class RefreshQuerySet(models.QuerySet):
    def claim(self, *, now: datetime, max_age: timedelta) -> bool:
        """Whether it is the caller's turn to ask upstream: the copy is old and nobody is at it.

        One conditional update, so it is right among any number of processes and
        behind any pooler. Who dies after claiming only delays the next attempt.
        """
        self.get_or_create(pk=Refresh.ONLY)
        patience = min(max_age, timedelta(seconds=RETRY_SECONDS))
        due = _is_past("succeeded_at", now, max_age) & _is_past("attempted_at", now, patience)
        return self.filter(due, pk=Refresh.ONLY).update(attempted_at=now) == 1

    def lock(self) -> "Refresh":
        """The row, until the transaction ends: snapshots are stored one after the other."""
        self.get_or_create(pk=Refresh.ONLY)
        return self.select_for_update().get(pk=Refresh.ONLY)

    def note_failure(self, reason: str, *, now: datetime) -> bool:
        """Whether the last attempt had not failed for the same reason."""
        reason = reason[:500]
        is_news = not self.filter(pk=Refresh.ONLY, error=reason).exists()
        failed = {"attempted_at": now, "error": reason}
        self.update_or_create(pk=Refresh.ONLY, defaults=failed)
        return is_news


def _is_past(field: str, now: datetime, duration: timedelta) -> Q:
    """The time in the field is that long ago, or none at all, or out of a clock that was wrong."""
    return (
        Q(**{field: None})
        | Q(**{f"{field}__lte": now - duration})
        | Q(**{f"{field}__gt": now + duration})
    )


class Refresh(models.Model):
    """What is known about the last contacts with upstream. There is one row."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    attempted_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, help_text="Why the last attempt failed.")
    source = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of the address that was asked with success."
    )

    objects = RefreshQuerySet.as_manager()

    class Meta:
        db_table = "registry_refreshes"
        verbose_name_plural = "refreshes"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="registry_refresh_is_one_row")
        ]

    def __str__(self) -> str:
        return f"attempted at {self.attempted_at}"
