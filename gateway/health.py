"""What needs attention in the gateway, for the dashboard."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from core.database.any_id import any_id
from gateway.breaker import BreakerState
from gateway.models import Call, CallState, Worker


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Calls under way and of unknown cost, and upstreams that are not called now."""

    under_way: int
    unknown: int
    suspended: list[str]


def current(project_ids: Collection[UUID] | None) -> GatewayHealth:
    """Return the state of the gateway, with calls of these projects or of all. Three queries."""
    calls = Call.objects.all()
    if project_ids is not None:
        calls = calls.filter(any_id("project_id", project_ids))
    return GatewayHealth(
        under_way=calls.exclude(state=CallState.UNKNOWN).count(),
        unknown=calls.filter(state=CallState.UNKNOWN).count(),
        suspended=sorted(_suspended()),
    )


def _suspended() -> set[str]:
    return {
        name
        for worker in Worker.objects.all()
        for name, upstream in worker.upstreams.items()
        if upstream.get("breaker") == BreakerState.OPEN
    }
