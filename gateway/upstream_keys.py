"""A project's own keys of upstreams: sealed, shown only masked, and known when shared."""

import hashlib
import hmac
from dataclasses import dataclass

from django.conf import settings

from accounts.models import Project
from core.secrets import Sealed
from gateway.models import UpstreamKey


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A project's key. `is_shared`: another project has the same one."""

    sealed: Sealed
    is_shared: bool

    @classmethod
    def of(cls, row: UpstreamKey) -> "OwnKey":
        """Return the key of a row. One query."""
        others = UpstreamKey.objects.filter(
            upstream=row.upstream, digest=bytes(row.digest), project__archived_at=None
        ).exclude(project=row.project_id)
        return cls(row.api_key, others.exists())


def store(project: Project, upstream: str, key: str) -> UpstreamKey:
    """Make `key` the project's own of an upstream, instead of an earlier one."""
    row, _ = UpstreamKey.objects.update_or_create(
        project=project,
        upstream=upstream,
        defaults={"api_key": Sealed.of(key), "digest": digest(key), "hint": masked(key)},
    )
    return row


def digest(key: str) -> bytes:
    """Return what tells whether two projects have the same key, without either."""
    secret = str(settings.SECRET_KEY).encode()
    return hmac.digest(secret, b"upstream key\0" + key.encode(), hashlib.sha256)


def masked(key: str) -> str:
    """Return the key as it is shown: `sk-ABCDE...UVWX`, and less of shorter ones."""
    if len(key) <= 4:
        return "*" * len(key)
    if len(key) <= 12:
        return key[:2] + "*" * (len(key) - 2)
    return f"{key[:8]}...{key[-4:]}"


def is_masked(key: str) -> bool:
    """Return whether a text is a key as it is shown, which must not be stored as one."""
    return "..." in key or "****" in key
