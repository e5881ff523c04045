"""Snapshots in the database: taking one, and reading one back."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from registry_proxy import documents
from registry_proxy.changes import changes
from registry_proxy.client import File, Registry
from registry_proxy.models import Refresh, RegistryFile, Snapshot


def take(registry: Registry, *, source: str, now: datetime) -> Snapshot | None:
    """Store what upstream publishes; the new snapshot, or None when its content is not new.

    `source` tells this upstream from others. Opens a transaction. Of several
    callers with the same content one stores it.
    """
    with transaction.atomic():
        refresh = Refresh.objects.lock()
        newest = Snapshot.objects.newest()
        taken = None
        if newest is None or _differs(registry, newest):
            newest = taken = _create(registry, before=newest, now=now)
        # Also without a new snapshot: the files may have new validators.
        newest.files.set([store(file, now=now) for file in registry.files.values()])
        refresh.attempted_at = refresh.succeeded_at = now
        refresh.error = ""
        refresh.source = source
        refresh.save()
    return taken


def store(file: File, *, now: datetime) -> RegistryFile:
    """The row with these bytes under this path, made when there is none."""
    validators = {"etag": file.etag, "last_modified": file.last_modified}
    row, _ = RegistryFile.objects.update_or_create(
        path=file.path,
        sha256=hashlib.sha256(file.body).hexdigest(),
        defaults=validators,
        create_defaults={**validators, "body": file.body, "fetched_at": now},
    )
    return row


def files(snapshot: Snapshot | None) -> dict[str, File]:
    """The snapshot's files by path; none without a snapshot. One query."""
    if snapshot is None:
        return {}
    return {
        row.path: File(row.path, bytes(row.body), row.etag, row.last_modified)
        for row in snapshot.files.order_by("path")
    }


def contents(files: Mapping[str, File]) -> dict[str, dict]:
    """The provider documents in the files, by provider."""
    return {
        documents.provider_of(path): documents.parse_provider(file.body, path)
        for path, file in files.items()
        if path != documents.MANIFEST
    }


def _differs(registry: Registry, snapshot: Snapshot) -> bool:
    return (registry.digest, registry.version) != (snapshot.digest, snapshot.version)


def _create(registry: Registry, *, before: Snapshot | None, now: datetime) -> Snapshot:
    dated = Snapshot.objects.next_name(now)
    after = _models(registry.documents)
    found = changes(_models(contents(files(before))), after)
    return Snapshot.objects.create(
        taken_on=dated.day,
        ordinal=dated.ordinal,
        version=registry.version,
        digest=registry.digest,
        model_count=len(after),
        changes=found,
        change_count=len(found),
        fetched_at=now,
    )


def _models(contents: Mapping[str, dict]) -> dict[str, dict]:
    return {key: entry for found in contents.values() for key, entry in found["models"].items()}
