"""Logs as the API shows them, newest first: in pages and, for export, in streams."""

from collections.abc import Iterator
from uuid import UUID

from django.db import connection

from llmring_site import ids
from llmring_site.scoping import Scope
from usage.models import UsageLog
from usage.windows import Window

# The columns of `GET /logs`, by the names it shows them under.
SHOWN = {
    "id": "id",
    "logged_at": "created_at",
    "provider": "provider",
    "model": "model",
    "alias": "alias",
    "profile": "profile",
    "origin": "origin",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "cost": "cost",
    "cost_source": "cost_source",
    "latency_ms": "latency_ms",
    "metadata": "metadata",
    "conversation_id": "conversation_id",
    "id_at_origin": "id_at_origin",
}
EXPORTED = {**SHOWN, "event_id": "event_id", "api_key_id": "api_key_id"}
_CHUNK = 2_000  # rows of an export read at a time


def matching(scope: Scope, window: Window, labels: dict[str, str]):
    """The scope's logs inside the window with exactly these labels, newest first."""
    return UsageLog.objects.for_scope(scope).filter(
        id__gte=ids.lowest(window.start), id__lt=ids.lowest(window.end), **labels
    )


def page(logs, *, limit: int, offset: int, cursor: UUID | None) -> list[dict]:
    """One page of `logs`; `cursor` is the id of the last log of the page before."""
    if cursor:
        logs = logs.filter(id__lt=cursor)
    return _as_shown(logs.order_by("-id")[offset : offset + limit], SHOWN)


def stream(logs) -> Iterator[list[dict]]:
    """All of `logs`, oldest first, in chunks.

    Each chunk is a query of its own, and the connection is given back before the
    chunk is: a slow reader must not hold one for as long as it reads.
    """
    last = UUID(int=0)
    while True:
        chunk = _as_shown(logs.filter(id__gt=last).order_by("id")[:_CHUNK], EXPORTED)
        if not connection.in_atomic_block:
            connection.close()
        if not chunk:
            return
        last = chunk[-1]["id"]
        yield chunk


def _as_shown(logs, columns: dict[str, str]) -> list[dict]:
    names = tuple(columns)
    rows = [dict(zip(names, row, strict=True)) for row in logs.values_list(*columns.values())]
    for row in rows:
        row["cost"] = row["cost"] or 0  # NULL: no price known, as cost_source says
    return rows
