"""A project's own keys of upstreams: sealed, replaced, never shown again, and known when shared."""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts.models import Project
from core.secrets import Sealed
from gateway.models import UpstreamKey


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A project's key. `is_shared`: another project has the same one, of any upstream."""

    sealed: Sealed
    is_shared: bool

    @classmethod
    def of(cls, row: UpstreamKey) -> "OwnKey":
        """Return the key of a row. One query."""
        # Two names may be of one account: the key decides what it reaches.
        others = UpstreamKey.objects.filter(
            digest=bytes(row.digest), project__archived_at=None
        ).exclude(project=row.project_id)
        return cls(row.api_key, others.exists())


def set_keys(project: Project, keys: Mapping[str, str | None]) -> None:
    """Store the keys by upstream; None removes one."""
    for upstream, key in keys.items():
        own = {"project": project, "upstream": upstream}
        if key is None:
            UpstreamKey.objects.filter(**own).delete()
        else:
            UpstreamKey.objects.update_or_create(**own, defaults=UpstreamKey.columns_of(key))
