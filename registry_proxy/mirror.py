"""The content of the registry's routes: whole documents, versions, and upstream's own files.

Source: docs/http-contract.md, section "Registry".
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from django.conf import settings
from django.core.cache import cache

from core import json_writer
from core.errors import DomainError, InvalidInput, issue
from registry_proxy import archives, registry_document, snapshots, upstream_format
from registry_proxy.current_registry import current
from registry_proxy.models import Snapshot, SnapshotQuerySet
from registry_proxy.registry_document import filter_models
from registry_proxy.representations import Representation, representation
from registry_proxy.snapshot_names import parse_archive_number, parse_snapshot_name

_NAME = re.compile(r"[A-Za-z0-9._+-]{1,64}")


class NotPublished(DomainError):
    """Upstream does not publish it, and this server has no copy of it."""

    status_code = 404
    code = "not_published"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")


def current_document(
    providers: Sequence[str] = (), capabilities: Sequence[str] = ()
) -> Representation:
    """Return the current document, filtered by `filter_models`.

    Raises RegistryUnavailable.
    """
    snapshot = current.require()
    if not providers and not capabilities:
        return snapshot.representation
    return _render(filter_models(snapshot.document, providers=providers, capabilities=capabilities))


def version(
    name: str, providers: Sequence[str] = (), capabilities: Sequence[str] = ()
) -> Representation:
    """Return the document of a version; raise NotPublished or RegistryUnavailable.

    A name is a snapshot's name, an archive's number, or the version in upstream's
    manifest. Whatever it is, on this server it means the same content for good.
    """
    newest = current.require()
    if not _NAME.fullmatch(name):
        raise NotPublished(f"Version {name}")
    if providers or capabilities:
        document = _document(name)
        document = filter_models(document, providers=providers, capabilities=capabilities)
        return _render(document, immutable=True)
    key = f"registry:document:{newest.representation.etag}:{name}"
    cached = cache.get(key)
    if cached is None:
        cached = tuple(_render(_document(name), immutable=True))
        cache.set(key, cached, settings.CACHE_TTL_SECONDS)
    return Representation(*cached)


def snapshots_since(name: str) -> SnapshotQuerySet:
    """Return the snapshots after a version, or after any day. Raises InvalidInput."""
    if _NAME.fullmatch(name):
        snapshot_id = _named_snapshot(name)
        if snapshot_id is not None:
            return Snapshot.objects.filter(id__gt=snapshot_id)
        if dated := parse_snapshot_name(name):
            return Snapshot.objects.after(dated)
    message = "Input should be a version such as 2026.08.18 or 2026.08.18.2"
    raise InvalidInput([issue("version_parsing", ["query", "since"], message, name)])


def manifest() -> Representation:
    """Return upstream's manifest as received; raise NotPublished."""
    return _file(upstream_format.MANIFEST, "Manifest")


def provider_file(provider: str) -> Representation:
    """Return upstream's current file of a provider as received; raise NotPublished."""
    return _file(upstream_format.provider_path(provider), f"Provider {provider}")


def archive_file(provider: str, name: str) -> Representation:
    """Return upstream's archive of a provider as received; raise NotPublished."""
    counts = current.require().archive_counts
    if provider not in counts:
        raise NotPublished(f"Provider {provider}")
    number = parse_archive_number(name) or 0
    if not 1 <= number <= counts[provider]:
        raise NotPublished(f"Version {name}")
    stored = archives.files(number, {provider})
    if provider not in stored:
        raise NotPublished(f"Version {name}")
    return representation(stored[provider], immutable=True)


def _file(path: str, label: str) -> Representation:
    file = current.require().files.get(path)
    if file is None:
        raise NotPublished(label)
    return file


def _document(name: str) -> Mapping:
    if number := parse_archive_number(name):
        return _archived_document(number)
    snapshot_id = _named_snapshot(name)
    if snapshot_id is None:
        raise NotPublished(f"Version {name}")
    return snapshots.load(snapshot_id).document


def _named_snapshot(name: str) -> int | None:
    """Return the id of the snapshot of this name, else of the first of that upstream version.

    Upstream's version may look like the name of a snapshot. Then it is only found for a day
    that is over: a later snapshot of that day would have the name, and change its meaning.
    """
    dated = parse_snapshot_name(name)
    if dated is None:
        return Snapshot.objects.first_of_version(name).values_list("id", flat=True).first()
    named = Snapshot.objects.named(dated).values_list("id", flat=True).first()
    if named is not None:
        return named
    first = Snapshot.objects.first_of_version(
        name, name.replace(".", "-"), name.replace("-", ".")
    ).first()
    return first.id if first is not None and first.taken_on > dated.day else None


def _archived_document(number: int) -> Mapping:
    providers = _archive_providers(number)
    stored = archives.files(number, providers)
    if not providers or stored.keys() != providers:
        raise NotPublished(f"Version {number}")
    documents = {
        provider: upstream_format.parse_provider(body) for provider, body in stored.items()
    }
    return registry_document.build(
        documents,
        version=str(number),
        snapshot=None,
        generated_at=registry_document.made_at(documents),
    )


def _archive_providers(number: int) -> set[str]:
    """Return the providers that had this archive in the first snapshot in which one had it.

    Others may reach the number later; the document of a number does not change for that.
    """

    def having(snapshot_id: int) -> set[str]:
        counts = snapshots.load(snapshot_id).archive_counts
        return {provider for provider, count in counts.items() if number <= count}

    if number > max(current.require().archive_counts.values(), default=0):
        return set()
    ids = list(Snapshot.objects.order_by("id").values_list("id", flat=True))
    first = bisect_left(ids, True, key=lambda snapshot_id: bool(having(snapshot_id)))
    return having(ids[first]) if first < len(ids) else set()


def _render(document: Mapping, *, immutable: bool = False) -> Representation:
    return representation(json_writer.dumps(document), immutable=immutable)
