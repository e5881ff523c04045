"""Batches of logs: each item has its own outcome, and all good ones are stored at once.

Source: docs/http-contract.md, section "Logging many calls".
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from itertools import starmap
from typing import Any, NamedTuple

from django.db import transaction

from accounts.limits import log_quotas
from core.database.timeouts import lift_limit
from core.errors import InvalidInput
from core.scoping import Caller
from usage import batch_items, deduplication, events, ingestion, log_rows, reversals
from usage.batch_items import Item
from usage.deduplication import Outcome
from usage.events import EventReused
from usage.ledger import LogRow
from usage.log_rows import OwnedConversations
from usage.schemas import LogEntry

_TOGETHER = 20  # rows whose replacements are committed together
# Large batches at once gain nothing, neither here nor in the database, and each needs its memory.
_one_at_a_time = threading.BoundedSemaphore(1)


class RequestKey(NamedTuple):
    """The `Idempotency-Key` of a batch, and a digest of the items that it came with first."""

    text: str
    fingerprint: str


def log_batch(
    caller: Caller,
    body: bytes,
    content_type: str,
    *,
    owned_conversations: OwnedConversations,
    idempotency_key: str | None = None,
) -> dict:
    """Store the well-formed items and return the outcome of every item, in order.

    With `idempotency_key`, items without event id get one from it and their index,
    so that the whole request can be repeated. Raises EventReused when the key was
    used for another batch, and what `batch_items.parse` does.
    """
    with _one_at_a_time:
        items = batch_items.parse(body, content_type)
        key = _request_key(idempotency_key, items) if idempotency_key else None
        rows = _rows(caller, items, owned_conversations, key)
        with transaction.atomic():
            lift_limit()
            outcomes = deduplication.store(caller, rows)
            if key:
                _check_key(key, rows, outcomes)
        return _report(items, _settled(caller, rows, outcomes))


def _request_key(text: str, items: list[Item]) -> RequestKey:
    """Return the key with the digest that the same items always have, in whatever form.

    All malformed items are the same to it, since nothing of them is stored.
    """
    prints = [
        b"" if isinstance(item, InvalidInput) else events.event_fingerprint(item).encode()
        for item in items
    ]
    return RequestKey(text, events.fingerprint(*prints))


def _rows(
    caller: Caller,
    items: list[Item],
    owned_conversations: OwnedConversations,
    key: RequestKey | None,
) -> list[LogRow]:
    """Return the rows of the good items, in order."""
    numbered = [(n, item) for n, item in enumerate(items) if isinstance(item, LogEntry)]
    entries = [entry for _, entry in numbered]
    contexts = log_rows.resolve(entries, caller, owned_conversations)
    return [
        log_rows.build_row(entry, caller, context, **_event(entry, index, key))
        for (index, entry), context in zip(numbered, contexts, strict=True)
    ]


def _event(entry: LogEntry, index: int, key: RequestKey | None) -> dict[str, str | None]:
    """Return the columns by which a row is recognized when it is sent again."""
    event_id, fingerprint = entry.event_id or None, None
    if entry.is_exported:
        pass  # it is known by its id, and its event was reported elsewhere
    elif event_id:
        fingerprint = events.event_fingerprint(entry)
    elif key:
        event_id, fingerprint = f"{key.text}/{index}", key.fingerprint
    return {"event_id": event_id, "fingerprint": fingerprint}


def _check_key(key: RequestKey, rows: Iterable[LogRow], outcomes: Iterable[Outcome]) -> None:
    """Raise EventReused if the request's own key was used for another batch."""
    for row, outcome in zip(rows, outcomes, strict=True):
        is_known = not (outcome.is_new or outcome.is_refused or row.replaces)
        is_by_key = is_known and row.fingerprint == key.fingerprint
        if is_by_key and not events.matches_idempotent_request(outcome.row, row):
            raise EventReused


def _settled(caller: Caller, rows: list[LogRow], outcomes: list[Outcome]) -> list[dict]:
    """Return the result of each row.

    Replacements not all in one transaction: they lock the project's sums, and while a log
    waits for these, so do all that are written together with it.
    """
    results = []
    for start in range(0, len(rows), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        pairs = [*zip(rows[part], outcomes[part], strict=True)]
        with transaction.atomic() if any(starmap(_replaces, pairs)) else nullcontext():
            results += starmap(partial(_settle, caller), pairs)
    return results


def _replaces(row: LogRow, outcome: Outcome) -> bool:
    return row.replaces and not (outcome.is_new or outcome.is_refused)


def _settle(caller: Caller, row: LogRow, outcome: Outcome) -> dict:
    """Return the result of a row; replace the one that was stored before."""
    stored, is_new, is_refused = outcome
    if is_refused:
        refusal = log_quotas.exceeded(caller, datetime.now(UTC))
        return {"status": "error", "detail": str(refusal)}
    if is_new:
        return {"status": "created", **ingestion.reply(stored)}
    if _replaces(row, outcome):
        try:
            current = reversals.replace(caller, stored, row)
        except reversals.AlreadyCorrected as error:
            return {"status": "error", "detail": str(error)}
        status = "replaced" if current is row else "duplicate"
        return {"status": status, **ingestion.reply(current)}
    if events.matches_idempotent_request(stored, row):
        return {"status": "duplicate", **ingestion.reply(stored)}
    return {"status": "error", "detail": str(EventReused("event_id"))}


def _report(items: list[Item], outcomes: Iterable[dict]) -> dict[str, Any]:
    outcomes = iter(outcomes)
    results = [{"index": index, **_result(item, outcomes)} for index, item in enumerate(items)]
    counts = Counter(result["status"] for result in results)
    return {
        "created": counts["created"],
        "duplicates": counts["duplicate"],
        "replaced": counts["replaced"],
        "failed": counts["error"],
        "results": results,
    }


def _result(item: Item, outcomes: Iterator[dict]) -> dict:
    if isinstance(item, InvalidInput):
        return {"status": "error", "detail": item.issues}
    return next(outcomes)
