"""A snapshot made ready for answers: prices by name, and the bytes to send."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from core import media
from registry_proxy import documents, snapshots
from registry_proxy.catalogue import Catalogue
from registry_proxy.models import Snapshot
from registry_proxy.representations import Representation, representation
from registry_proxy.union import union


@dataclass(frozen=True, slots=True)
class Edition:
    """One snapshot in memory, about two megabytes. It never changes."""

    snapshot_id: int
    catalogue: Catalogue
    document: Mapping
    representation: Representation
    files: Mapping[str, Representation]
    archive_counts: Mapping[str, int]


@lru_cache(maxsize=4)
def edition(snapshot_id: int) -> Edition:
    """The edition of a stored snapshot. Two queries when it is not in memory."""
    snapshot = Snapshot.objects.get(pk=snapshot_id)
    files = snapshots.files(snapshot)
    contents = snapshots.contents(files)
    document = union(
        contents,
        # Without a manifest upstream has no name for its state; ours will do.
        version=snapshot.version or str(snapshot.dated),
        snapshot=str(snapshot.dated),
        generated_at=snapshot.fetched_at,
    )
    return Edition(
        snapshot_id=snapshot.id,
        catalogue=Catalogue(document["models"], snapshot.id),
        document=document,
        representation=representation(media.dumps(document)),
        files={path: representation(file.body) for path, file in files.items()},
        archive_counts={
            provider: documents.archive_count(content) for provider, content in contents.items()
        },
    )
