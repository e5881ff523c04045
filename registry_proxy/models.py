from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Max, Q
from django.utils import timezone

from registry_proxy.snapshot_names import SnapshotName

RETRY_SECONDS = 15  # pause after a failed attempt to reach upstream


class RegistryFile(models.Model):
    """One file of the public registry, byte for byte as received."""

    path = models.CharField(max_length=255, help_text="Path below the registry's base address.")
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

    def named(self, name: SnapshotName):
        """Return the snapshots of this name: one or none."""
        return self.filter(taken_on=name.day, ordinal=name.ordinal)

    def first_of_version(self, *spellings: str):
        """Return the first snapshot with one of these upstream versions, or none."""
        return self.filter(version__in=spellings).order_by("id")[:1]

    def after(self, name: SnapshotName):
        """Return the snapshots later than this name, which need not exist itself."""
        return self.filter(
            Q(taken_on__gt=name.day) | Q(taken_on=name.day, ordinal__gt=name.ordinal)
        )

    def changed(self):
        """Return the snapshots in which a model differs from the snapshot before, newest first."""
        return self.filter(change_count__gt=0).order_by("-id")

    def next_name(self, now: datetime) -> SnapshotName:
        """Return the name of a snapshot taken now."""
        day = now.astimezone(UTC).date()
        last = self.filter(taken_on=day).aggregate(last=Max("ordinal", default=0))["last"]
        return SnapshotName(day, last + 1)


class Snapshot(models.Model):
    """The whole registry, from one change of its content to the next.

    Usage rows keep the id of the snapshot that they were priced from.
    """

    id = models.AutoField(primary_key=True)
    taken_on = models.DateField(help_text="The day (UTC) on which this content was first seen.")
    ordinal = models.PositiveSmallIntegerField(help_text="Counts the snapshots of a day from 1.")
    version = models.CharField(
        max_length=64, blank=True, help_text="Upstream's name for this state, from its manifest."
    )
    digest = models.CharField(
        max_length=64,
        help_text="SHA-256 (hexadecimal) of the RFC 8785 form of the provider documents.",
    )
    model_count = models.PositiveIntegerField()
    changes = models.JSONField(help_text="Differences from the snapshot before.")
    change_count = models.PositiveIntegerField()
    fetched_at = models.DateTimeField()
    prices_made_at = models.DateTimeField(
        null=True, help_text="When upstream last updated one of the files."
    )
    files = models.ManyToManyField(RegistryFile, through="SnapshotFile", related_name="snapshots")

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        db_table = "registry_snapshots"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["taken_on", "ordinal"], name="registry_snapshot_name")
        ]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def name(self) -> SnapshotName:
        """The permanent name of this state."""
        return SnapshotName(self.taken_on, self.ordinal)

    def changelog_entry(self) -> dict:
        """Return the snapshot's part of the changelog (docs/http-contract.md, "Registry")."""
        return {"version": str(self.name), "date": self.taken_on, "entries": self.changes}


class SnapshotFile(models.Model):
    """Links a file to every snapshot in which it was unchanged."""

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
        """Return whether the caller may ask upstream: the copy is old and no attempt is recent.

        One conditional update, so that one of any number of processes gets it, also behind a
        pooler. A process that dies after claiming only delays the next attempt.
        """
        self.get_or_create(pk=Refresh.ONLY)
        pause = min(max_age, timedelta(seconds=RETRY_SECONDS))
        due = _is_past("succeeded_at", now, max_age) & _is_past("attempted_at", now, pause)
        return self.filter(due, pk=Refresh.ONLY).update(attempted_at=now) == 1

    def lock(self) -> "Refresh":
        """Lock and return the row, so that snapshots are stored one after the other."""
        self.get_or_create(pk=Refresh.ONLY)
        return self.select_for_update().get(pk=Refresh.ONLY)

    def note_failure(self, reason: str, *, now: datetime) -> bool:
        """Record a failed attempt; return whether the last one failed for another reason."""
        reason = reason[:500]
        is_new = not self.filter(pk=Refresh.ONLY, error=reason).exists()
        failed = {"attempted_at": now, "error": reason}
        self.update_or_create(pk=Refresh.ONLY, defaults=failed)
        return is_new


def _is_past(field: str, now: datetime, duration: timedelta) -> Q:
    """Return the condition that a time is null, at least that long ago, or as far ahead.

    The latter was stored while a clock was wrong.
    """
    return (
        Q(**{field: None})
        | Q(**{f"{field}__lte": now - duration})
        | Q(**{f"{field}__gt": now + duration})
    )


class Refresh(models.Model):
    """The last contacts with upstream. There is one row."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    attempted_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, help_text="Why the last attempt failed.")
    problems = models.JSONField(
        default=list,
        blank=True,
        help_text="What the last refresh left out, or kept from before.",
    )
    source = models.CharField(
        max_length=64,
        blank=True,
        help_text="SHA-256 of the address of the last successful attempt.",
    )

    objects = RefreshQuerySet.as_manager()

    class Meta:
        db_table = "registry_refreshes"
        verbose_name_plural = "refreshes"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="registry_refresh_is_one_row")
        ]

    def __str__(self) -> str:
        return f"attempted at {self.attempted_at:%Y-%m-%d %H:%M}" if self.attempted_at else "never"


class CustomPrice(models.Model):
    """What the operator pays for a model, from one moment to another.

    It replaces the registry's prices of the classes and units that it names. In
    patterns `*` stands for any text. With `modifier` it is the price of calls
    made with that modifier, such as `speed=fast`.
    """

    MAX_AMOUNT = 1_000_000

    id = models.AutoField(primary_key=True)
    project_id = models.UUIDField(
        null=True, blank=True, help_text="The project that pays it; empty: all of them."
    )
    provider = models.CharField(max_length=50, help_text="As calls name it; * is any text.")
    model = models.CharField(max_length=255, help_text="As calls name it; * is any text.")
    modifier = models.CharField(
        max_length=100,
        blank=True,
        help_text="name=value, such as speed=fast: the price of calls made so.",
    )
    prices = models.JSONField(
        default=dict,
        blank=True,
        help_text="US dollars as text by name: per million of a token class (input, cache_read, "
        "audio_input, …), per one of a unit (web_searches, audio_seconds, …).",
    )
    factor = models.DecimalField(
        max_digits=20,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Multiplies the registry's prices.",
    )
    priced_as = models.CharField(
        max_length=255, blank=True, help_text="provider:model whose registry prices hold."
    )
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True, help_text="Empty: until further notice.")
    note = models.CharField(max_length=255, blank=True, help_text="Why, and where it is agreed.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "custom_prices"
        ordering = ["provider", "model", "-valid_from", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
                name="custom_prices_end_after_start",
                violation_error_message="A price ends after it begins.",
            ),
            models.CheckConstraint(
                condition=Q(factor=None) | Q(factor__gte=0),
                name="custom_prices_factor_not_negative",
            ),
        ]

    def __str__(self) -> str:
        end = f" to {self.valid_to:%Y-%m-%d}" if self.valid_to else ""
        return f"{self.provider}:{self.model} from {self.valid_from:%Y-%m-%d}{end}"

    def clean(self) -> None:
        if not (self.prices or self.factor is not None or self.priced_as):
            raise ValidationError("A price needs `prices`, a `factor` or `priced_as`.")
        if self.priced_as and ":" not in self.priced_as:
            raise ValidationError({"priced_as": "Name it as provider:model."})
        if self.modifier and not all(self.modifier.partition("=")):
            raise ValidationError({"modifier": "Write it as name=value."})

    @property
    def amounts(self) -> dict[str, Decimal]:
        """Return the stored prices by class or unit."""
        return {name: Decimal(text) for name, text in self.prices.items()}
