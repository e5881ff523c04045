"""Batches of logs: each item has its own outcome, and all good ones are stored at once.

Source: docs/http-contract.md, section "Logging many calls".
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from llmring_site import media
from llmring_site.errors import InvalidInput, issue
from llmring_site.scoping import Scope
from usage import ingestion, rows
from usage.entries import BatchEntry, decode
from usage.ingestion import EventReused
from usage.rows import Row
from usage.serializers import BatchEntrySerializer

MOST_ITEMS = 5_000
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
# A clock a little ahead of ours is no reason to refuse what it stamps.
_AHEAD = timedelta(days=1)


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
    problem: list[dict] | str | None = None


def log_all(texts: list[bytes], scope: Scope, *, idempotency_key: str | None = None) -> dict:
    """Store what is well-formed and report on every item, in order.

    With `idempotency_key`, items without event id get one from it and their place,
    so that the whole request can be repeated. Raises EventReused when the key was
    used for another batch.
    """
    now = datetime.now(UTC)
    whole = rows.fingerprint(*texts) if idempotency_key else None
    batch = [
        _item(text, scope, now, f"{idempotency_key}/{place}" if idempotency_key else None, whole)
        for place, text in enumerate(texts)
    ]
    wanted = [item.row for item in batch if item.row]
    with ingestion.all_or_none():
        new = ingestion.write_all(wanted)
        stored = ingestion.stored_events([row for row in wanted if row.id not in new])
        if whole and any(
            first.fingerprint != whole
            for first in stored.values()
            if first.event_id.startswith(f"{idempotency_key}/")
        ):
            raise EventReused
    return _report(batch, new, stored)


def _item(
    text: bytes, scope: Scope, now: datetime, derived_id: str | None, whole: str | None
) -> _Item:
    try:
        entry = decode(BatchEntry, text) or _lenient(text)
        if entry.timestamp and entry.timestamp.tzinfo is None:
            entry.timestamp = entry.timestamp.replace(tzinfo=UTC)
        if (
            entry.timestamp
            and not datetime(1970, 1, 2, tzinfo=UTC) <= entry.timestamp <= now + _AHEAD
        ):
            message = "Input should be a time between 1970 and now"
            raise InvalidInput(
                [issue("datetime_range", ["body", "timestamp"], message, entry.timestamp)]
            )
    except InvalidInput as error:
        return _Item(problem=error.issues)
    event_id = entry.event_id or derived_id
    mark = None
    if event_id:
        mark = whole if event_id == derived_id else rows.fingerprint(ingestion.canonical(entry))
    return _Item(rows.make(entry, scope, at=entry.timestamp, event_id=event_id, fingerprint=mark))


def _lenient(text: bytes) -> BatchEntry:
    try:
        value = media.loads(text)
    except UnicodeDecodeError:
        raise InvalidInput([issue("json_invalid", ["body"], "JSON decode error", {})]) from None
    serializer = BatchEntrySerializer(data=value)
    serializer.is_valid(raise_exception=True)
    return BatchEntry(**serializer.validated_data)


def _report(batch: list[_Item], new: set, stored: dict[str, Row]) -> dict:
    results = []
    for place, item in enumerate(batch):
        if item.row is None:
            results.append({"index": place, "status": "error", "detail": item.problem})
            continue
        row, status = item.row, "created"
        if row.id not in new:
            first = stored[row.event_id]
            if first.fingerprint != row.fingerprint:
                text = str(EventReused("event_id"))
                results.append({"index": place, "status": "error", "detail": text})
                continue
            row, status = first, "duplicate"
        results.append({"index": place, "status": status, **rows.shown(row)})
    counts = {name: sum(1 for found in results if found["status"] == name) for name in _STATUSES}
    return {
        "created": counts["created"],
        "duplicates": counts["duplicate"],
        "failed": counts["error"],
        "results": results,
    }


_STATUSES = ("created", "duplicate", "error")
