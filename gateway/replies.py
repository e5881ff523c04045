"""What the management API shows of rows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from accounts import audit
from accounts.limits import allowances
from accounts.models import Project
from gateway.models import Token, UpstreamKey
from gateway.schemas.projects import ManagedProject
from gateway.schemas.tokens import ManagedToken
from gateway.token_limits import ALLOW_LISTS, COUNTED_LIMITS
from gateway.upstream_config import DEFAULT_UPSTREAM

_COLUMNS = (
    *("id", "name", "project_id", "upstream", "expires_at", "created_at", "revoked_at"),
    *ALLOW_LISTS,
)


def token(row: Token, now: datetime) -> dict[str, Any]:
    """Return a token whose allowance is loaded, masked, with what is left of it."""
    allowance = row.allowance
    shown = ManagedToken(
        **{name: getattr(row, name) for name in _COLUMNS},
        **{name: getattr(allowance, name) for name in (*COUNTED_LIMITS, "last_used_at")},
        token=row.hint,
        is_active=row.revoked_at is None,
        request_count=allowance.requests,
        cache_hit_count=allowance.cache_hits,
        spent_usd=allowance.spent_usd,
        reserved_usd=allowance.reserved_usd,
        remaining=allowances.remaining(allowance, now),
    )
    return shown.model_dump()


def projects(rows: Iterable[Project]) -> list[dict[str, Any]]:
    """Return the projects with their masked keys. Two queries, however many there are."""
    rows = [*rows]
    ids = [row.id for row in rows]
    keys: dict = {id: {} for id in ids}
    for key in UpstreamKey.objects.filter(project_id__in=ids).order_by("upstream"):
        keys[key.project_id][key.upstream] = key.hint
    changes = audit.last_changes(ids)
    return [_project(row, keys[row.id], changes.get(row.id)) for row in rows]


def _project(row: Project, keys: dict[str, str], changed_at: datetime | None) -> dict[str, Any]:
    shown = ManagedProject(
        id=row.id,
        name=row.name,
        api_key=keys.get(DEFAULT_UPSTREAM, ""),
        upstream_keys=keys,
        is_active=row.archived_at is None,
        deactivated_at=row.archived_at,
        created_at=row.created_at,
        updated_at=max(filter(None, (row.created_at, row.archived_at, changed_at))),
    )
    return shown.model_dump()
