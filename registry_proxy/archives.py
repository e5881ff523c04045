"""Upstream's numbered archives of single providers.

They never change: each is fetched when first requested, and stored permanently.
"""

import threading
import time
from collections.abc import Set

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from registry_proxy import refreshing, snapshots
from registry_proxy.client import UpstreamUnavailable
from registry_proxy.current_registry import FIRST_FETCH_TIMEOUT_SECONDS, RegistryUnavailable
from registry_proxy.models import RETRY_SECONDS, RegistryFile
from registry_proxy.upstream_format import MalformedDocument, archive_path, parse_provider


class ArchiveFetcher:
    """Fetches archives: one request at a time, and not again soon after a failure.

    So a slow upstream occupies one thread of this process and not all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Return to the state of a process that has just started."""
        self._retry_at = float("-inf")

    def fetch(self, paths: Set[str]) -> None:
        """Store those of the files that upstream has; raise RegistryUnavailable."""
        if not self._lock.acquire(timeout=FIRST_FETCH_TIMEOUT_SECONDS):
            raise _unavailable()
        try:
            # The thread that held the lock before may have fetched the same files.
            if missing := _missing(paths):
                self._fetch(missing)
        finally:
            self._lock.release()

    def _fetch(self, paths: Set[str]) -> None:
        if time.monotonic() < self._retry_at:
            raise _unavailable()
        try:
            with refreshing.upstream_client(FIRST_FETCH_TIMEOUT_SECONDS / 2) as source:
                files = source.files(paths, {})
            for file in files.values():
                parse_provider(file.body)
        except (UpstreamUnavailable, MalformedDocument) as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise _unavailable() from error
        for file in files.values():
            snapshots.store(file, now=timezone.now())
        for path in paths - files.keys():
            cache.set(_absence_key(path), True, settings.CACHE_TTL_SECONDS)


fetcher = ArchiveFetcher()


def files(number: int, providers: Set[str]) -> dict[str, bytes]:
    """Return archive `number` of those of the providers that have it, byte for byte.

    Raises RegistryUnavailable if one is not stored yet and cannot be fetched now.
    """
    paths = {archive_path(provider, number): provider for provider in sorted(providers)}
    if missing := _missing(paths.keys()):
        fetcher.fetch(missing)
    stored = RegistryFile.objects.filter(path__in=paths).values_list("path", "body")
    return {paths[path]: bytes(body) for path, body in stored.order_by("path")}


def _missing(paths: Set[str]) -> set[str]:
    """Return the files that are not stored and were not recently missing upstream."""
    stored = RegistryFile.objects.filter(path__in=paths).values_list("path", flat=True)
    return {path for path in paths - set(stored) if not cache.get(_absence_key(path))}


def _absence_key(path: str) -> str:
    return f"registry:absent:{path}"


def _unavailable() -> RegistryUnavailable:
    return RegistryUnavailable("The archive could not be fetched yet; try again")
