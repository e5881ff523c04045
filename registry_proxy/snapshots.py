"""Snapshots of the registry: taking one, and loading one for answers and prices."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db import transaction

from core import json_writer
from registry_proxy import bundled, changelog, registry_document, upstream_format
from registry_proxy.client import UpstreamFile, UpstreamRegistry
from registry_proxy.model_names import ModelIndex
from registry_proxy.models import Refresh, RegistryFile, Snapshot
from registry_proxy.representations import Representation, representation


@dataclass(frozen=True, slots=True)
class SnapshotPrices:
    """The prices of a snapshot, by the names of models."""

    id: int
    models: ModelIndex


@dataclass(frozen=True, slots=True)
class LoadedSnapshot:
    """A snapshot in memory, about two megabytes, with its prices and the bytes to send."""

    id: int
    prices: SnapshotPrices
    name: str
    prices_made_at: datetime | None
    document: Mapping
    representation: Representation
    files: Mapping[str, Representation]
    archive_counts: Mapping[str, int]


@lru_cache(maxsize=4)
def load(snapshot_id: int) -> LoadedSnapshot:
    """Return a stored snapshot; raise Snapshot.DoesNotExist.

    Three queries if it is not in memory.
    """
    snapshot = Snapshot.objects.get(pk=snapshot_id)
    stored = files(snapshot)
    documents = _documents(stored)
    document = registry_document.build(
        documents,
        # Without a manifest upstream has no name for its state; ours stands in.
        version=snapshot.version or str(snapshot.name),
        snapshot=str(snapshot.name),
        generated_at=snapshot.prices_made_at or snapshot.fetched_at,
    )
    registry_document.add_inactive_from(document["models"], _deactivated_at(snapshot_id))
    return LoadedSnapshot(
        id=snapshot.id,
        prices=SnapshotPrices(snapshot.id, ModelIndex(document["models"])),
        name=str(snapshot.name),
        prices_made_at=snapshot.prices_made_at,
        document=document,
        representation=representation(json_writer.dumps(document)),
        files={path: representation(file.body) for path, file in stored.items()},
        archive_counts={
            provider: upstream_format.archive_count(content)
            for provider, content in documents.items()
        },
    )


@lru_cache(maxsize=64)
def load_prices(snapshot_id: int) -> SnapshotPrices:
    """Return the prices of a stored snapshot; raise Snapshot.DoesNotExist.

    Two queries if they are not in memory.
    """
    documents = _documents(files(Snapshot.objects.get(pk=snapshot_id)))
    return SnapshotPrices(snapshot_id, ModelIndex(registry_document.models(documents)))


def _deactivated_at(snapshot_id: int) -> dict[str, datetime]:
    """Return when models last became inactive, up to a snapshot, by upstream key."""
    taken = Snapshot.objects.filter(
        id__lte=snapshot_id, changes__contains=[{"change_type": "deactivated"}]
    ).order_by("id")
    return {
        entry["model"]: fetched_at
        for fetched_at, changes in taken.values_list("fetched_at", "changes")
        for entry in changes
        if entry["change_type"] == "deactivated"
    }


def take(registry: UpstreamRegistry, *, source: str, now: datetime) -> Snapshot | None:
    """Store what upstream publishes; return the new snapshot, or None if its content is not new.

    `source` identifies the upstream. Opens a transaction. Of several callers with
    the same content one stores it.
    """
    with transaction.atomic():
        refresh = Refresh.objects.lock()
        newest = Snapshot.objects.newest()
        taken = None
        if newest is None or _differs(registry, newest):
            newest = taken = _create(registry, before=newest, now=now)
        # Even without a new snapshot, the files may have new validators.
        newest.files.set([store(file, now=now) for file in registry.files.values()])
        refresh.attempted_at = refresh.succeeded_at = now
        refresh.error = ""
        refresh.problems = registry.problems
        refresh.source = source
        refresh.save()
    return taken


def take_bundled(*, now: datetime) -> None:
    """Store the bundled registry as the first snapshot, if there is none yet.

    It does not count as an answer of upstream, which is tried again. Opens a transaction.
    """
    if Snapshot.objects.exists():
        return
    with transaction.atomic():
        Refresh.objects.lock()
        if not Snapshot.objects.exists():
            registry = bundled.registry()
            snapshot = _create(registry, before=None, now=now)
            snapshot.files.set([store(file, now=now) for file in registry.files.values()])


def store(file: UpstreamFile, *, now: datetime) -> RegistryFile:
    """Return the row with these bytes under this path, created if there is none."""
    validators = {"etag": file.etag, "last_modified": file.last_modified}
    row, _ = RegistryFile.objects.update_or_create(
        path=file.path,
        sha256=hashlib.sha256(file.body).hexdigest(),
        defaults=validators,
        create_defaults={**validators, "body": file.body, "fetched_at": now},
    )
    return row


def files(snapshot: Snapshot | None) -> dict[str, UpstreamFile]:
    """Return the snapshot's files by path; none without a snapshot. One query."""
    if snapshot is None:
        return {}
    return {
        row.path: UpstreamFile(row.path, bytes(row.body), row.etag, row.last_modified)
        for row in snapshot.files.order_by("path")
    }


def _differs(registry: UpstreamRegistry, snapshot: Snapshot) -> bool:
    return (registry.digest, registry.version) != (snapshot.digest, snapshot.version)


def _create(registry: UpstreamRegistry, *, before: Snapshot | None, now: datetime) -> Snapshot:
    name = Snapshot.objects.next_name(now)
    after = _models(registry.documents)
    changes = changelog.diff(_models(_documents(files(before))), after)
    return Snapshot.objects.create(
        taken_on=name.day,
        ordinal=name.ordinal,
        version=registry.version,
        digest=registry.digest,
        model_count=len(after),
        changes=changes,
        change_count=len(changes),
        fetched_at=now,
        prices_made_at=registry_document.made_at(registry.documents),
    )


def _documents(files: Mapping[str, UpstreamFile]) -> dict[str, dict]:
    return upstream_format.provider_documents({path: file.body for path, file in files.items()})


def _models(documents: Mapping[str, dict]) -> dict[str, dict]:
    return {
        key: entry for document in documents.values() for key, entry in document["models"].items()
    }
