"""What the registry's routes answer with: whole documents, versions, and upstream's own files.

Source: docs/http-contract.md, section "Registry".
"""

import re
from collections.abc import Mapping, Sequence

from django.conf import settings
from django.core.cache import cache

from core import media
from core.errors import DomainError
from registry_proxy import archives, documents, editions, service
from registry_proxy.models import Snapshot
from registry_proxy.representations import Representation, representation
from registry_proxy.union import filtered, parse_time, union
from registry_proxy.versions import parse_archive, parse_dated

_NAME = re.compile(r"[A-Za-z0-9._+-]{1,64}")


class NotPublished(DomainError):
    """Upstream publishes no such thing, and never did as long as this server looked."""

    status_code = 404
    code = "not_published"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")


def current(providers: Sequence[str] = (), capabilities: Sequence[str] = ()) -> Representation:
    """The current document, restricted as `union.filtered` says; unrestricted it is at hand.

    Raises RegistryUnavailable.
    """
    edition = service.edition()
    if not providers and not capabilities:
        return edition.representation
    return _rendered(filtered(edition.document, providers=providers, capabilities=capabilities))


def version(
    name: str, providers: Sequence[str] = (), capabilities: Sequence[str] = ()
) -> Representation:
    """The document of a version; raises NotPublished or RegistryUnavailable.

    A name is a snapshot's date, an archive's number, or what upstream's manifest
    calls its state: then it is the newest snapshot so called, and not for good.
    """
    edition = service.edition()
    if not _NAME.fullmatch(name):
        raise NotPublished(f"Version {name}")
    if providers or capabilities:
        document, is_final = _document(name)
        document = filtered(document, providers=providers, capabilities=capabilities)
        return _rendered(document, immutable=is_final)
    key = f"registry:document:{edition.representation.etag}:{name}"
    found = cache.get(key)
    if found is None:
        document, is_final = _document(name)
        found = tuple(_rendered(document, immutable=is_final))
        cache.set(key, found, settings.CACHE_TTL_SECONDS)
    return Representation(*found)


def manifest() -> Representation:
    """Upstream's manifest as it came."""
    found = service.edition().files.get(documents.MANIFEST)
    if found is None:
        raise NotPublished("Manifest")
    return found


def provider_file(provider: str) -> Representation:
    """Upstream's current file of a provider as it came."""
    found = service.edition().files.get(documents.provider_path(provider))
    if found is None:
        raise NotPublished(f"Provider {provider}")
    return found


def archive_file(provider: str, name: str) -> Representation:
    """Upstream's archive of a provider as it came."""
    counts = service.edition().archive_counts
    if provider not in counts:
        raise NotPublished(f"Provider {provider}")
    number = parse_archive(name) or 0
    if not 1 <= number <= counts[provider]:
        raise NotPublished(f"Version {name}")
    found = archives.files(number, {provider})
    if provider not in found:
        raise NotPublished(f"Version {name}")
    return representation(found[provider], immutable=True)


def _document(name: str) -> tuple[Mapping, bool]:
    """The document of a version, and whether the name stands for it for good."""
    if dated := parse_dated(name):
        snapshot_id = Snapshot.objects.named(dated).values_list("id", flat=True).first()
        if snapshot_id is not None:
            return editions.edition(snapshot_id).document, True
    if number := parse_archive(name):
        return _archived(number)
    snapshot_id = Snapshot.objects.filter(version=name).values_list("id", flat=True).first()
    if snapshot_id is None:
        raise NotPublished(f"Version {name}")
    return editions.edition(snapshot_id).document, False


def _archived(number: int) -> tuple[Mapping, bool]:
    counts = service.edition().archive_counts
    found = archives.files(number, {name for name, count in counts.items() if number <= count})
    if not found:
        raise NotPublished(f"Version {number}")
    contents = {
        provider: documents.parse_provider(body, documents.archive_path(provider, number))
        for provider, body in found.items()
    }
    times = [parse_time(document.get("updated_at")) for document in contents.values()]
    document = union(
        contents,
        version=str(number),
        snapshot=None,
        generated_at=max(filter(None, times), default=None),
    )
    # A provider that has fewer archives today may reach this number one day.
    return document, found.keys() == counts.keys()


def _rendered(document: Mapping, *, immutable: bool = False) -> Representation:
    return representation(media.dumps(document), immutable=immutable)
