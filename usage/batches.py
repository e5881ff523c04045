"""Batches of logs: each item has its own outcome, and all good ones are stored at once.

Source: docs/http-contract.md, section "Logging many calls".
"""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from rest_framework.exceptions import ParseError

from core import media, memory
from core.errors import InvalidInput, issue
from core.scoping import Caller
from usage import ingestion, rows
from usage.entries import BatchEntry, decode
from usage.ingestion import EventReused
from usage.rows import Row
from usage.serializers import BatchEntrySerializer

MOST_ITEMS = 5_000
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
# A clock a little ahead of ours is no reason to refuse what it stamps.
_AHEAD = timedelta(days=1)
# Large batches at once gain nothing in the database, and each needs its memory.
_turns = threading.BoundedSemaphore(1)
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)


class _Logs(msgspec.Struct):
    logs: list[msgspec.Raw]


def items(body: bytes, content_type: str) -> list[bytes]:
    """The JSON texts of a batch's items: of `{"logs": […]}`, of a bare list, or of NDJSON lines.

    Raises InvalidInput when the batch as a whole is malformed or has too many items.
    """
    if content_type.split(";", 1)[0].strip().lower() in _NDJSON:
        found = [line for line in body.splitlines() if line.strip()]
    else:
        found = _listed(body)
    if len(found) > MOST_ITEMS:
        raise InvalidInput(
            [
                issue(
                    "too_long",
                    ["body", "logs"],
                    f"List should have at most {MOST_ITEMS} items",
                    None,
                    max_length=MOST_ITEMS,
                    actual_length=len(found),
                )
            ]
        )
    return found


def _listed(body: bytes) -> list[bytes]:
    try:
        if body.lstrip().startswith(b"["):
            return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
        return [bytes(raw) for raw in msgspec.json.decode(body, type=_Logs).logs]
    except (msgspec.MsgspecError, RecursionError):
        value = media.loads(body)  # raises InvalidInput for what is no JSON
    if not isinstance(value, dict):
        message = "Input should be a valid dictionary or object"
        raise InvalidInput([issue("model_attributes_type", ["body"], message, None)])
    if "logs" not in value:
        raise InvalidInput([issue("missing", ["body", "logs"], "Field required", None)])
    raise InvalidInput([issue("list_type", ["body", "logs"], "Input should be a valid list", None)])


@dataclass(slots=True)
class _Item:
    """One item: the row it makes, or what is wrong with it."""

    row: Row | None = None
    problem: list[dict] | None = None


def log_all(texts: list[bytes], caller: Caller, *, idempotency_key: str | None = None) -> dict:
    """Store what is well-formed and report on every item, in order.

    With `idempotency_key`, items without event id get one from it and their place,
    so that the whole request can be repeated. Raises EventReused when the key was
    used for another batch.
    """
    with _turns:
        try:
            return _log_all(texts, caller, idempotency_key)
        finally:
            memory.trim()


def _log_all(texts: list[bytes], caller: Caller, idempotency_key: str | None) -> dict:
    now = datetime.now(UTC)
    whole = rows.fingerprint(*texts) if idempotency_key else None
    batch = []
    for place, text in enumerate(texts):
        try:
            entry = _entry(text, now)
        except InvalidInput as error:
            batch.append(_Item(problem=error.issues))
            continue
        event_id, mark = entry.event_id or None, None
        if event_id:
            mark = rows.fingerprint(ingestion.canonical(entry))
        elif idempotency_key:
            event_id, mark = f"{idempotency_key}/{place}", whole
        row = rows.make(entry, caller, at=entry.timestamp, event_id=event_id, fingerprint=mark)
        batch.append(_Item(row))
    return _report(batch, *_store([item.row for item in batch if item.row], whole))


def _store(batch: list[Row], whole: str | None) -> tuple[set[UUID], dict[str, Row]]:
    """The ids of new rows with event ids, and by event id the rows that were stored before."""
    with ingestion.all_or_none():
        _, new = ingestion.write_all(batch)
        repeated = [row for row in batch if row.event_id and row.id not in new]
        stored = ingestion.stored_events(repeated)
        for row in repeated:
            if row.fingerprint == whole and not stored[row.event_id].is_of_event(row):
                raise EventReused
    return new, stored


def _entry(text: bytes, now: datetime) -> BatchEntry:
    entry = decode(BatchEntry, text) or _lenient(text)
    at = entry.timestamp
    if at is not None:
        at = entry.timestamp = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        if not _EARLIEST <= at <= now + _AHEAD:
            message = "Input should be a time between 1970 and now"
            raise InvalidInput([issue("datetime_range", ["body", "timestamp"], message, str(at))])
    return entry


def _lenient(text: bytes) -> BatchEntry:
    try:
        value = media.loads(text)
    except ParseError:
        raise InvalidInput([issue("json_invalid", ["body"], "JSON decode error", {})]) from None
    serializer = BatchEntrySerializer(data=value)
    serializer.is_valid(raise_exception=True)
    return BatchEntry(**serializer.validated_data)


def _report(batch: list[_Item], new: set[UUID], stored: dict[str, Row]) -> dict:
    results = [{"index": place, **_outcome(item, new, stored)} for place, item in enumerate(batch)]
    counts = Counter(result["status"] for result in results)
    return {
        "created": counts["created"],
        "duplicates": counts["duplicate"],
        "failed": counts["error"],
        "results": results,
    }


def _outcome(item: _Item, new: set[UUID], stored: dict[str, Row]) -> dict:
    row = item.row
    if row is None:
        return {"status": "error", "detail": item.problem}
    if row.event_id is None or row.id in new:
        return {"status": "created", **rows.shown(row)}
    first = stored[row.event_id]
    if not first.is_of_event(row):
        return {"status": "error", "detail": str(EventReused("event_id"))}
    return {"status": "duplicate", **rows.shown(first)}
