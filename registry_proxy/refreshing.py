"""Asking upstream for the registry's current state, and storing what is new."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings

from registry_proxy import bundled, client, snapshots
from registry_proxy.client import RegistryClient, UpstreamUnavailable
from registry_proxy.models import Refresh, Snapshot

logger = logging.getLogger(__name__)


@contextmanager
def upstream_client(timeout: float | None = None) -> Iterator[RegistryClient]:
    """Open a client of the public registry; each file may take `timeout` seconds."""
    with client.open_session() as session:
        yield RegistryClient(
            session,
            base_url=settings.REGISTRY_BASE_URL,
            timeout=timeout or settings.REGISTRY_TIMEOUT,
        )


def refresh(*, now: datetime, timeout: float | None = None) -> Snapshot | None:
    """Ask upstream; return the new snapshot, or None if the content has not changed.

    Raises UpstreamUnavailable after recording the failure.
    """
    source = hashlib.sha256(settings.REGISTRY_BASE_URL.encode()).hexdigest()
    # Validators of another registry's files could match files of this one.
    is_known = Refresh.objects.filter(source=source).exists()
    held = snapshots.files(Snapshot.objects.newest()) or bundled.registry_files()
    try:
        with upstream_client(timeout) as registry_client:
            registry = registry_client.registry(held if is_known else {}, fallback=held)
    except UpstreamUnavailable as error:
        # Attempts are repeated while upstream is away: the log has each reason once.
        if Refresh.objects.note_failure(str(error), now=now):
            logger.warning("the registry was not refreshed: %s", error)
        raise
    if registry.problems and not Refresh.objects.filter(problems=registry.problems).exists():
        logger.warning("the registry was refreshed in part: %s", "; ".join(registry.problems))
    taken = snapshots.take(registry, source=source, now=now)
    if taken is not None:
        logger.info("registry snapshot %s: %s changes", taken, taken.change_count)
    return taken
