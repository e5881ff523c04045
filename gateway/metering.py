"""The rows of relayed calls: one before the upstream is called, one in the ledger afterwards.

    admission = await admit(call)           reserve, and store the pending row
    await settle(call, outcome)             replace it by a row of the ledger

Each is one statement for all calls that arrive together, and returns when it is durable. If
the worker is killed in between, the pending row stays, and another worker's sweep settles it.
Source: docs/gateway.md, section "Metering".
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import Error, connection

from core import bridge, json_writer
from core.database.columns import column_types, recordset
from core.database.group_commit import Execute, GroupWriter
from core.errors import DATABASE_AWAY, DatabaseUnavailable
from gateway.metered_calls import LOST, MeteredCall, Outcome, ledger_row
from gateway.models import Call, CallState
from usage import ledger, reversals
from usage.ledger import Counting, LogRow
from usage.models import UsageLog
from usage.reports.reported_usage import UsageStatus

logger = logging.getLogger(__name__)

# Raised by writes that are tried again until the database takes them, also where it answers with
# an error, as for a damaged page: the upstream has been paid.
WRITE_ERRORS = (DatabaseUnavailable, psycopg.Error, Error)
_RETRY_SECONDS = 1
_MAX_RETRY_SECONDS = 60  # while it answers with errors
_WITHDRAW_SECONDS = 1  # after the moment at which a statement has timed out
# Calls that may have been admitted, though their clients were told that the database was away,
# and when that was.
_doubtful: dict[UUID, float] = {}
_unwritten: set[asyncio.Task] = set()
_PENDING = column_types(Call)
_NAMES = ", ".join(_PENDING)
_ADMIT = f"""
WITH incoming AS (
    SELECT * FROM {recordset(_PENDING, "call")}
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


_WITHDRAW = f"""
WITH ended AS (
    DELETE FROM gateway_calls WHERE id = ANY(%s) AND state = '{CallState.PENDING}'
    RETURNING allowance_id, reserved_usd
)
SELECT settle_allowance(holder, released, 0) FROM (
    SELECT allowance_id AS holder, sum(reserved_usd) AS released
    FROM ended GROUP BY 1 ORDER BY 1
) AS grouped
"""


class Admission(NamedTuple):
    """`refusal` is empty for a call that may be made."""

    refusal: str
    seconds_to_next_minute: float


async def admit(call: MeteredCall) -> Admission:
    """Take the call's share of its token's limits, and store its pending row, or neither.

    Raises DatabaseUnavailable.
    """
    try:
        return await _admissions.write(call)
    except BaseException:
        _doubtful[call.id] = time.monotonic()
        raise


def withdraw_doubtful() -> None:
    """Take back what calls have reserved whose admission was stored, but not answered.

    Not before their statement has ended: without its client it may go on, and wait for a lock.
    """
    latest = time.monotonic() - settings.STATEMENT_TIMEOUT_SECONDS - _WITHDRAW_SECONDS
    if ids := [id for id, since in _doubtful.copy().items() if since <= latest]:
        with connection.cursor() as cursor:
            cursor.execute(_WITHDRAW, [ids])
        for id in ids:
            del _doubtful[id]


async def settle(call: MeteredCall, outcome: Outcome) -> LogRow:
    """Write the call's row of the ledger; return it. Raises one of WRITE_ERRORS.

    If another worker has recorded the call as lost, the row corrects that record.
    """
    row = await ledger_row(call, outcome)
    if not await _settlements.write(row) and outcome.status != UsageStatus.UNKNOWN:
        await bridge.in_thread(_correct_lost, row)
    return row


async def settle_polled(call: MeteredCall, outcome: Outcome) -> LogRow | None:
    """Write the row of a call for which several workers may poll; return None if it exists.

    Raises one of WRITE_ERRORS.
    """
    row = await ledger_row(call, outcome)
    return row if await _settlements.write(row) else None


def _correct_lost(row: LogRow) -> None:
    lost = UsageLog.objects.filter(id=row.id, error=LOST).first()
    if lost is not None:
        with suppress(reversals.AlreadyCorrected):
            reason = "the worker was still running"
            reversals.reverse(lost, reason=reason, author="gateway", replacement=row)


def retry_later(write: Callable[[], Awaitable[Any]]) -> asyncio.Task:
    """Start a task that calls `write` until the database takes it; return the task."""
    task = asyncio.ensure_future(_retry(write))
    _unwritten.add(task)
    task.add_done_callback(_unwritten.discard)
    return task


async def _retry(write: Callable[[], Awaitable[Any]]) -> None:
    pause = _RETRY_SECONDS
    while True:
        await asyncio.sleep(pause)
        try:
            await write()
            return
        except (DatabaseUnavailable, *DATABASE_AWAY):
            pause = _RETRY_SECONDS
        except WRITE_ERRORS:
            logger.exception("a call is not settled")
            pause = min(2 * pause, _MAX_RETRY_SECONDS)


async def keep_in_background(call: MeteredCall, response_id: str) -> None:
    """Leave the call to a poll that shows its usage. Raises one of WRITE_ERRORS.

    Nothing changes if a poll has settled it meanwhile.
    """
    await bridge.in_thread(
        Call.objects.filter(id=call.id, state=CallState.PENDING).update,
        state=CallState.BACKGROUND,
        response_id=response_id,
    )


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


def settle_lost(rows: Sequence[LogRow]) -> list[LogRow]:
    """Write the rows of `unknown_row`; return those that are new. Several workers may call it."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE[False, True], [ledger.parameter(rows)])
        new, *_ = cursor.fetchone()
    return [row for row in rows if row.id in (new or ())]


_admissions = GroupWriter(_store_admissions)
_settlements = GroupWriter(_store_settlements)
