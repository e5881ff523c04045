"""A project's own keys of upstreams: sealed, replaced, never shown again."""

from collections.abc import Mapping

from accounts.models import Project
from gateway.models import UpstreamKey


def set_keys(project: Project, keys: Mapping[str, str | None]) -> None:
    """Store the keys by upstream; None removes one."""
    for upstream, key in keys.items():
        own = {"project": project, "upstream": upstream}
        if key is None:
            UpstreamKey.objects.filter(**own).delete()
        else:
            UpstreamKey.objects.update_or_create(**own, defaults=UpstreamKey.columns_of(key))
