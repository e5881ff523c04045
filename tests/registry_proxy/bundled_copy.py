"""The registry that ships with the server, in a process that cannot reach upstream.

To read, check and store it takes longer than most stories that need its prices. One test
of each worker does; the others get the rows and the parsed copy that it came to.
"""

from typing import NamedTuple
from unittest.mock import patch

from django.utils import timezone

from registry_proxy import custom_prices, pricing, snapshots
from registry_proxy.current_registry import current
from registry_proxy.models import RegistryFile, Snapshot, SnapshotFile
from registry_proxy.snapshots import LoadedSnapshot, take_bundled


class _Copy(NamedTuple):
    """The rows, whose ids no sequence gives again, and what they are in memory."""

    snapshot: Snapshot
    files: list[RegistryFile]
    links: list[SnapshotFile]
    loaded: LoadedSnapshot


_copy: _Copy | None = None


def hold() -> None:
    """Do what `pricing.load()` would, where no snapshot is stored yet."""
    global _copy
    if _copy is None:
        take_bundled(now=timezone.now())
        pricing.load()
        [snapshot], links = Snapshot.objects.all(), list(SnapshotFile.objects.all())
        _copy = _Copy(snapshot, list(RegistryFile.objects.all()), links, current.get())
        return
    Snapshot.objects.bulk_create([_copy.snapshot])
    RegistryFile.objects.bulk_create(_copy.files)
    SnapshotFile.objects.bulk_create(_copy.links)
    with patch.object(snapshots, "load", lambda id: _copy.loaded):
        current.follow()
    custom_prices.current.follow()
