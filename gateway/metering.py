"""The rows of relayed calls: one before the upstream is called, one in the ledger afterwards.

    admission = await admit(call)           reserve, and store the pending row
    await settle(call, outcome)             replace it by a row of the ledger

Each is one statement for all calls that arrive together, and returns when it is durable. If
anything fails in between, the pending row stays, and the worker's sweep settles it.
Source: docs/gateway.md, section "Metering".
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from core import bridge, json_writer, parsing
from core.database.columns import column_types, recordset
from core.database.group_commit import Execute, GroupWriter
from core.errors import DATABASE_AWAY, DatabaseUnavailable, InvalidInput
from core.scoping import Caller
from gateway.models import Call, CallState
from usage import costing, ledger, log_rows, reversals
from usage.ledger import Counting, LogRow
from usage.models import UsageLog
from usage.reports.reported_usage import UsageStatus
from usage.schemas import LogEntry

logger = logging.getLogger(__name__)

# Raised by writes that can be tried again once the database answers.
AWAY = (DatabaseUnavailable, *DATABASE_AWAY)
_RETRY_SECONDS = 1
_LOST = "worker_lost"
_unwritten: set[asyncio.Task] = set()
_PENDING = column_types(Call)
_NAMES = ", ".join(_PENDING)
_ADMIT = f"""
WITH incoming AS (
    SELECT * FROM {recordset("%s", _PENDING, "call")}
    -- A statement that is repeated after a lost connection has stored its calls already. This
    -- form looks the ids up one by one: an anti-join would read the whole table.
    WHERE (SELECT true FROM gateway_calls AS known WHERE known.id = call.id) IS NULL
), taken AS (
    -- In the order of the holders, so that two statements do not deadlock.
    SELECT ids, take_allowance(holder, amounts) AS refusals FROM (
        SELECT allowance_id AS holder, array_agg(id ORDER BY id) AS ids,
            array_agg(reserved_usd ORDER BY id) AS amounts
        FROM incoming GROUP BY 1 ORDER BY 1
    ) AS grouped
), decided AS (
    SELECT unnest(ids) AS id, unnest(refusals) AS refusal FROM taken
), stored AS (
    INSERT INTO gateway_calls ({_NAMES})
    SELECT {_NAMES} FROM incoming JOIN decided USING (id) WHERE refusal = ''
)
SELECT id, refusal, 60 - extract(second FROM clock_timestamp())::float FROM decided
"""


def _settle_sql(*, is_single: bool, keeps: bool) -> str:
    """Return the statement that ends calls; it returns the ids of the rows that are new.

    `is_single`: for one row, without grouping. `keeps`: an unknown cost stays reserved until it
    is known. Counted as nothing, it would let a budget last forever; counted as spent, a
    correction could not tell it from a cost.
    """
    # By ids: a plain join would read the whole table, dead rows of ended calls included.
    # Calls of lost workers (UNKNOWN) have a row already, which `_correct_lost` corrects.
    is_incoming = f"""call.id = incoming.id AND call.id = ANY(ARRAY(SELECT id FROM incoming))
        AND call.state <> '{CallState.UNKNOWN}'"""
    is_over = "AND (incoming.cost IS NOT NULL OR call.reserved_usd = 0)"
    kept = f""", kept AS (
    UPDATE gateway_calls AS call SET state = '{CallState.UNKNOWN}' FROM incoming
    WHERE {is_incoming} AND incoming.cost IS NULL AND call.reserved_usd > 0
)"""
    total = ledger.total_sql(is_single=is_single)
    return f"""
WITH {ledger.insert_steps(is_single=is_single, counting=Counting.ALREADY_MADE)}, ended AS (
    DELETE FROM gateway_calls AS call USING incoming
    WHERE {is_incoming} {is_over if keeps else ""}
    RETURNING call.allowance_id, call.reserved_usd, coalesce(incoming.cost, 0) AS spent
){kept if keeps else ""}
SELECT (SELECT array_agg(id) FROM inserted), (SELECT sum(logs) FROM counted),
    (SELECT count(settle_allowance(holder, released, spent)) FROM (
        SELECT allowance_id AS holder, {total("reserved_usd")} AS released,
            {total("spent")} AS spent
        FROM ended {"" if is_single else "GROUP BY 1 ORDER BY 1"}
    ) AS grouped)
"""


# Most groups have no call that keeps its reservation: without that part they take 10 % less time.
_SETTLE = {
    (is_single, keeps): _settle_sql(is_single=is_single, keeps=keeps)
    for is_single in (False, True)
    for keeps in (False, True)
}


@dataclass(slots=True)
class MeteredCall:
    """A call that the upstream may bill.

    `model` is the upstream's name of the model, by which the call is priced unless the answer
    names another; `requested_model` is the client's name, which may be an alias.
    """

    id: UUID
    caller: Caller
    token_id: UUID
    allowance_id: UUID
    worker_id: UUID
    upstream: str
    provider: str
    model: str
    requested_model: str
    started_at: datetime
    reserved: Decimal
    alias: str | None = None
    profile: str | None = None
    origin: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    price_terms: dict[str, str] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Return the columns of the ledger that are known before the upstream answers."""
        return {
            "id": self.id,
            "created_at": self.started_at,
            "upstream": self.upstream,
            "requested_model": _storable(self.requested_model, 255),
        }

    def pending(self) -> dict[str, Any]:
        """Return the pending row: a row of gateway_calls."""
        return {
            "id": self.id,
            "project_id": self.caller.project_id,
            "token_id": self.token_id,
            "allowance_id": self.allowance_id,
            "worker_id": self.worker_id,
            "state": CallState.PENDING.value,
            "started_at": self.started_at,
            "reserved_usd": self.reserved,
            "upstream": self.upstream,
            "row": self.entry() | {"requested_model": self.requested_model},
        }

    def entry(self) -> dict[str, Any]:
        """Return the members of a LogEntry that are known before the upstream answers."""
        return {
            "provider": self.provider,
            "model": self.model,
            "alias": self.alias,
            "profile": self.profile,
            "origin": self.origin,
            "metadata": self.metadata,
            "modifiers": self.price_terms or None,
        }


@dataclass(slots=True)
class Outcome:
    """How a call ended, and what it used.

    `usage` is the upstream's own object, if it stated one, and `units` are counts beside tokens.
    `estimate` returns members of a LogEntry, for a usage that is missing or not understood.
    """

    status: UsageStatus
    usage: dict[str, Any] | None = None
    units: dict[str, int] = field(default_factory=dict)
    estimate: Callable[[], dict[str, Any]] | None = None
    model: str | None = None
    service_tier: str | None = None
    http_status: int | None = None
    latency_ms: int | None = None
    first_byte_ms: int | None = None
    error: str | None = None


class Admission(NamedTuple):
    """`refusal` is empty for a call that may be made."""

    refusal: str
    seconds_to_next_minute: float


async def admit(call: MeteredCall) -> Admission:
    """Take the call's share of its token's limits, and store its pending row, or neither.

    Raises DatabaseUnavailable.
    """
    return await _admissions.write(call)


async def settle(call: MeteredCall, outcome: Outcome) -> LogRow:
    """Write the call's row of the ledger; return it. Raises one of AWAY.

    If another worker has recorded the call as lost, the row corrects that record.
    """
    row = await _row(call, outcome)
    if not await _settlements.write(row) and outcome.status != UsageStatus.UNKNOWN:
        await bridge.in_thread(_correct_lost, row)
    return row


async def settle_polled(call: MeteredCall, outcome: Outcome) -> LogRow | None:
    """Write the row of a call for which several workers may poll; return None if it exists.

    Raises one of AWAY.
    """
    row = await _row(call, outcome)
    return row if await _settlements.write(row) else None


def _correct_lost(row: LogRow) -> None:
    lost = UsageLog.objects.filter(id=row.id, error=_LOST).first()
    if lost is not None:
        with suppress(reversals.AlreadyCorrected):
            reason = "the worker went on"
            reversals.reverse(lost, reason=reason, author="gateway", replacement=row)


def retry_later(write: Callable[[], Awaitable[Any]]) -> asyncio.Task:
    """Start a task that calls `write` until the database is available; return the task."""
    task = asyncio.ensure_future(_retry(write))
    _unwritten.add(task)
    task.add_done_callback(_unwritten.discard)
    return task


async def _retry(write: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await asyncio.sleep(_RETRY_SECONDS)
        try:
            await write()
            return
        except AWAY:
            continue


async def keep_in_background(call: MeteredCall, response_id: str) -> None:
    """Leave the call to a poll that shows its usage. Raises one of AWAY.

    Nothing changes if a poll has settled it meanwhile.
    """
    await bridge.in_thread(
        Call.objects.filter(id=call.id, state=CallState.PENDING).update,
        state=CallState.BACKGROUND,
        response_id=response_id,
    )


async def _row(call: MeteredCall, outcome: Outcome) -> LogRow:
    entry = _entry(call, outcome)
    columns = call.columns() | {
        "http_status": outcome.http_status,
        "first_byte_ms": outcome.first_byte_ms,
        "error": _storable(outcome.error, 255),
    }
    if costing.is_immediate(entry.stated_usage, None):
        return log_rows.build_row(entry, call.caller, **columns)
    return await bridge.in_thread(log_rows.build_row, entry, call.caller, **columns)


def _entry(call: MeteredCall, outcome: Outcome) -> LogEntry:
    """Return the log entry of the call, as a client would report it."""
    known = call.entry() | {
        "latency_ms": outcome.latency_ms,
        "model": _storable(outcome.model or call.model, 255),
    }
    if outcome.usage is not None:
        stated = {
            "usage": outcome.usage,
            "units": outcome.units or None,
            "usage_status": outcome.status,
            "service_tier": _storable(outcome.service_tier, 64),
        }
        try:
            return parsing.validate(LogEntry, known | stated)
        except InvalidInput as error:
            logger.warning("usage of %s is not understood: %s", call.upstream, error)
            outcome.status = UsageStatus.ESTIMATED if outcome.estimate else UsageStatus.UNKNOWN
    status = {"usage_status": outcome.status}
    is_estimated = outcome.status == UsageStatus.ESTIMATED and outcome.estimate
    counts = outcome.estimate() if is_estimated else {}
    return parsing.validate(LogEntry, known | counts | status)


def _storable(text: str | None, length: int) -> str | None:
    """Return an upstream's text, cut and without characters that PostgreSQL would refuse."""
    if not text:
        return text
    shown = text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:length]
    return shown.encode("utf-8", "replace").decode()


async def _store_admissions(execute: Execute, calls: list[MeteredCall]) -> list[Admission]:
    rows = await execute(_ADMIT, [json_writer.dumps([call.pending() for call in calls]).decode()])
    decided = {id: Admission(refusal, seconds) for id, refusal, seconds in rows}
    # A missing call was admitted by an earlier attempt of the same statement.
    return [decided.get(call.id, Admission("", 60)) for call in calls]


async def _store_settlements(execute: Execute, rows: list[LogRow]) -> list[bool]:
    """Store the rows; return for each whether it is new."""
    keeps = any(row.cost is None for row in rows)
    [(new, *_)] = await execute(_SETTLE[len(rows) == 1, keeps], [ledger.parameter(rows)])
    known = set(new or ())
    return [row.id in known for row in rows]


def unknown_row(call: Call) -> LogRow:
    """Return the ledger's row of a call whose worker was killed, or which was not polled."""
    members = dict(call.row)
    requested_model = members.pop("requested_model")
    entry = parsing.validate(LogEntry, members | {"usage_status": UsageStatus.UNKNOWN})
    return log_rows.build_row(
        entry,
        Caller(project_id=call.project_id, api_key_id=call.token_id),
        id=call.id,
        created_at=call.started_at,
        upstream=call.upstream,
        requested_model=requested_model,
        error=_LOST if call.state == CallState.PENDING else "not_polled",
    )


def settle_lost(rows: Sequence[LogRow]) -> list[LogRow]:
    """Write the rows of `unknown_row`; return those that are new. Several workers may call it."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE[False, True], [ledger.parameter(rows)])
        new, *_ = cursor.fetchone()
    return [row for row in rows if row.id in (new or ())]


_admissions = GroupWriter(_store_admissions)
_settlements = GroupWriter(_store_settlements)
