"""Batches of logs: each item has its own outcome, and all good ones are stored at once.

Source: docs/http-contract.md, section "Logging many calls".
"""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from django.db import transaction
from rest_framework.exceptions import ParseError

from core import media, memory
from core.errors import InvalidInput, issue
from core.scoping import Caller
from usage import ingestion, ledger
from usage.entries import BatchEntry, decode
from usage.ingestion import EventReused, OwnedConversations
from usage.ledger import LogRow
from usage.serializers import BatchEntrySerializer

MAX_ITEMS = 5_000
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
# Clients whose clock is a little ahead are not refused.
_MAX_AHEAD = timedelta(days=1)
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
# Large batches at once gain nothing in the database, and each needs its memory.
_one_at_a_time = threading.BoundedSemaphore(1)


class _Logs(msgspec.Struct):
    logs: list[msgspec.Raw]


def split(body: bytes, content_type: str) -> list[bytes]:
    """Return the JSON texts of a batch's items: `{"logs": […]}`, a bare list, or NDJSON lines.

    Raises InvalidInput when the batch as a whole is malformed or has too many items.
    """
    if content_type.split(";", 1)[0].strip().lower() in _NDJSON:
        items = [line for line in body.splitlines() if line.strip()]
    else:
        items = _list_items(body)
    if len(items) > MAX_ITEMS:
        raise InvalidInput(
            [
                issue(
                    "too_long",
                    ["body", "logs"],
                    f"List should have at most {MAX_ITEMS} items",
                    None,
                    max_length=MAX_ITEMS,
                    actual_length=len(items),
                )
            ]
        )
    return items


def _list_items(body: bytes) -> list[bytes]:
    try:
        if body.lstrip().startswith(b"["):
            return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
        return [bytes(raw) for raw in msgspec.json.decode(body, type=_Logs).logs]
    except (msgspec.MsgspecError, RecursionError):
        value = media.loads(body)  # raises InvalidInput for malformed JSON
    if not isinstance(value, dict):
        message = "Input should be a valid dictionary or object"
        raise InvalidInput([issue("model_attributes_type", ["body"], message, None)])
    if "logs" not in value:
        raise InvalidInput([issue("missing", ["body", "logs"], "Field required", None)])
    raise InvalidInput([issue("list_type", ["body", "logs"], "Input should be a valid list", None)])


@dataclass(slots=True)
class _Item:
    """One item: its entry and row, or its errors."""

    entry: BatchEntry | None = None
    row: LogRow | None = None
    errors: list[dict] | None = None


def log_batch(
    texts: list[bytes],
    caller: Caller,
    *,
    owned_conversations: OwnedConversations,
    idempotency_key: str | None = None,
) -> dict:
    """Store the well-formed items and return the outcome of every item, in order.

    With `idempotency_key`, items without event id get one from it and their index,
    so that the whole request can be repeated. Raises EventReused when the key was
    used for another batch.
    """
    with _one_at_a_time:
        try:
            request = ingestion.fingerprint(*texts) if idempotency_key else None
            items = _parse_items(texts)
            _add_rows(items, caller, owned_conversations, idempotency_key, request)
            return _report(items, *_store([item.row for item in items if item.row], request))
        finally:
            memory.trim()


def _parse_items(texts: list[bytes]) -> list[_Item]:
    now = datetime.now(UTC)
    items = []
    for text in texts:
        try:
            items.append(_Item(_parse(text, now)))
        except InvalidInput as error:
            items.append(_Item(errors=error.issues))
    return items


def _add_rows(
    items: list[_Item],
    caller: Caller,
    owned_conversations: OwnedConversations,
    idempotency_key: str | None,
    request: str | None,
) -> None:
    entries = [item.entry for item in items if item.entry]
    conversations = iter(ingestion.resolve_conversations(entries, caller, owned_conversations))
    for index, item in enumerate(items):
        if item.entry is None:
            continue
        event_id, fingerprint = item.entry.event_id or None, None
        if event_id:
            fingerprint = ingestion.fingerprint(ingestion.canonical(item.entry))
        elif idempotency_key:
            event_id, fingerprint = f"{idempotency_key}/{index}", request
        item.row = ingestion.build_row(
            item.entry,
            caller,
            conversation_id=next(conversations),
            at=item.entry.timestamp,
            event_id=event_id,
            fingerprint=fingerprint,
        )


def _store(rows: list[LogRow], request: str | None) -> tuple[set[UUID], dict[str, LogRow]]:
    """Return the ids of new rows with event ids, and by event id the rows stored before."""
    with transaction.atomic():
        _, new = ledger.insert(rows)
        repeated = [row for row in rows if row.event_id and row.id not in new]
        stored = ingestion.rows_by_event(repeated)
        for row in repeated:
            if row.fingerprint == request and not stored[row.event_id].matches_idempotent_request(
                row
            ):
                raise EventReused
    return new, stored


def _parse(text: bytes, now: datetime) -> BatchEntry:
    entry = decode(BatchEntry, text) or _parse_leniently(text)
    at = entry.timestamp
    if at is not None:
        at = entry.timestamp = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        if not _EARLIEST <= at <= now + _MAX_AHEAD:
            message = "Input should be a time between 1970 and now"
            raise InvalidInput([issue("datetime_range", ["body", "timestamp"], message, str(at))])
    return entry


def _parse_leniently(text: bytes) -> BatchEntry:
    try:
        value = media.loads(text)
    except ParseError:
        raise InvalidInput([issue("json_invalid", ["body"], "JSON decode error", {})]) from None
    serializer = BatchEntrySerializer(data=value)
    serializer.is_valid(raise_exception=True)
    return BatchEntry(**serializer.validated_data)


def _report(items: list[_Item], new: set[UUID], stored: dict[str, LogRow]) -> dict:
    results = [{"index": index, **_outcome(item, new, stored)} for index, item in enumerate(items)]
    counts = Counter(result["status"] for result in results)
    return {
        "created": counts["created"],
        "duplicates": counts["duplicate"],
        "failed": counts["error"],
        "results": results,
    }


def _outcome(item: _Item, new: set[UUID], stored: dict[str, LogRow]) -> dict:
    row = item.row
    if row is None:
        return {"status": "error", "detail": item.errors}
    if row.event_id is None or row.id in new:
        return {"status": "created", **row.reply()}
    first = stored[row.event_id]
    if not first.matches_idempotent_request(row):
        return {"status": "error", "detail": str(EventReused("event_id"))}
    return {"status": "duplicate", **first.reply()}
