"""Writing rows of the ledger together with their share of the daily sums.

One statement does both, whether for one row or for thousands, so the sums equal
the ledger at every moment. It takes the rows as one JSON list: one round trip,
one commit, one flush to disk, and unlike COPY it can skip a repeated event.
It also counts new calls against their projects' quotas (accounts/limits/log_quotas.py), and
stores nothing when one of them is used up, unless they were made already.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, auto
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.limits import log_quotas
from core import json_writer
from core.database.columns import column_types, recordset
from core.database.group_commit import Execute, GroupWriter
from usage.columns import LABELS, OPTIONAL_CLASSES, SUMS, TOKEN_COLUMNS
from usage.filters import LABEL_SQL
from usage.models import EntryType, UsageLog, UsageStatus

# What a row of the ledger adds to each sum. The numbers of a reversal are negative themselves.
_COUNT = f"CASE entry_type WHEN '{EntryType.REVERSAL}' THEN -1 ELSE 1 END"
_IS_UNKNOWN = f"usage_status = '{UsageStatus.UNKNOWN}'"
SHARE_SQL = {
    "requests": _COUNT,
    "unpriced_requests": f"CASE WHEN cost IS NULL AND NOT {_IS_UNKNOWN} THEN {_COUNT} ELSE 0 END",
    "unknown_requests": f"CASE WHEN {_IS_UNKNOWN} THEN {_COUNT} ELSE 0 END",
    "cost": "coalesce(cost, 0)",
    **{name: f"coalesce({name}, 0)" for name in TOKEN_COLUMNS},
    **{name: name for name in OPTIONAL_CLASSES},
}
_COLUMNS = column_types(UsageLog)
_NAMES = ", ".join(_COLUMNS)
_LABELS = ", ".join(LABELS)
_SUMS = ", ".join(SUMS)


def _added(name: str) -> str:
    total = f"daily.{name} + excluded.{name}"
    if name not in OPTIONAL_CLASSES:
        return total
    return f"coalesce({total}, daily.{name}, excluded.{name})"


class Counting(Enum):
    """How new logs move the counter of their project's quota.

    It depends on who writes them: what a log says of itself is its client's word.
    """

    REFUSABLE = auto()  # calls; beyond the quota the statement fails
    WITH_CORRECTIONS = auto()  # these, and corrections whose ids are another parameter
    ALREADY_MADE = auto()  # calls, also beyond the quota
    NONE = auto()


def insert_steps(*, is_single: bool = False, counting: Counting = Counting.REFUSABLE) -> str:
    """Return the common table expressions of a statement that stores rows and does more.

    `incoming` has all rows, `inserted` the new ones. These count against the quota only if the
    statement reads the sum of `logs` from `counted`. The parameter is `parameter(rows)`. For a
    single row nothing is grouped, which takes PostgreSQL an eighth less time.
    """
    total = total_sql(is_single=is_single)
    return f"""
incoming AS (
    SELECT * FROM {recordset(_COLUMNS, "stated")}
), inserted AS (
    -- In the order given, and the sums in theirs: two writers never deadlock.
    INSERT INTO usage_logs ({_NAMES}) SELECT {_NAMES} FROM incoming
    -- Also without an event id: a statement repeated after a lost connection finds its rows.
    ON CONFLICT DO NOTHING
    RETURNING *
), labelled AS (
    SELECT project_id, (created_at AT TIME ZONE 'UTC')::date AS day,
        {", ".join(f"{LABEL_SQL[name]} AS {name}" for name in LABELS)},
        {", ".join(f"{total(SHARE_SQL[name])} AS {name}" for name in SUMS)},
        {total("1")} AS entries
    FROM inserted
    {"" if is_single else f"GROUP BY {', '.join(str(n + 1) for n in range(2 + len(LABELS)))}"}
), summed AS (
    INSERT INTO usage_daily AS daily (project_id, day, labels, {_LABELS}, {_SUMS}, entries)
    SELECT project_id, day,
        sha256(convert_to(jsonb_build_array({_LABELS})::text, 'UTF8')) AS labels,
        {_LABELS}, {_SUMS}, entries
    FROM labelled
    {"" if is_single else "ORDER BY project_id, day, labels"}
    ON CONFLICT (project_id, day, labels) DO UPDATE SET
        {", ".join(f"{name} = {_added(name)}" for name in (*SUMS, "entries"))}
), counted AS (
    {_counted(counting, is_single=is_single)}
)
"""


def total_sql(*, is_single: bool) -> Callable[[str], str]:
    """Return a function from an SQL expression to its sum; for a single row, to itself."""
    return str if is_single else "sum({})".format


def _counted(counting: Counting, *, is_single: bool) -> str:
    if counting == Counting.NONE:
        return "SELECT 0 AS logs"
    total = total_sql(is_single=is_single)
    has_tier = log_quotas.has_tier("inserted.project_id")
    is_made = counting == Counting.ALREADY_MADE
    # Other corrections are not new calls.
    corrections = " OR id = ANY(%s::uuid[])" if counting == Counting.WITH_CORRECTIONS else ""
    return f"""
    SELECT count_logs(project_id, month, {"0, arrived" if is_made else "arrived, 0"}) AS logs FROM (
        SELECT project_id, date_trunc('month', received_at AT TIME ZONE 'UTC')::date AS month,
            {total("1")} AS arrived
        FROM inserted
        WHERE (entry_type = '{EntryType.CALL}'{corrections})
        {"AND" if is_single else "GROUP BY 1, 2 HAVING"} {has_tier}
        {"" if is_single else "ORDER BY 1, 2"}
    ) AS counts
    """


def _insert_sql(**options: Any) -> str:
    return f"""
    WITH {insert_steps(**options)}
    SELECT array_agg(id), (SELECT sum(logs) FROM counted) FROM inserted
    """


_INSERT_SINGLE = _insert_sql(is_single=True)
_INSERT = {counting: _insert_sql(counting=counting) for counting in Counting}


@dataclass(slots=True)
class LogRow:
    """A row before it is written: the columns that are not empty.

    `replaces`: if its event is stored already, the row corrects it. `is_exported`: its ids
    are those that it had where it was exported.
    """

    columns: dict[str, Any]
    replaces: bool = False
    is_exported: bool = False

    @property
    def id(self) -> UUID:
        return self.columns["id"]

    @property
    def created_at(self) -> datetime:
        return self.columns["created_at"]

    @property
    def event_id(self) -> str | None:
        return self.columns.get("event_id")

    @property
    def fingerprint(self) -> str | None:
        return self.columns.get("fingerprint")

    @property
    def entry_type(self) -> str:
        return self.columns["entry_type"]

    @property
    def is_replacement(self) -> bool:
        return self.entry_type == EntryType.REPLACEMENT

    @property
    def corrects_id(self) -> UUID | None:
        return self.columns.get("corrects_id")

    @property
    def cost(self) -> Decimal | None:
        return self.columns.get("cost")

    @property
    def cost_source(self) -> str:
        return self.columns["cost_source"]

    @property
    def unpriced_reason(self) -> str | None:
        return self.columns.get("unpriced_reason")


def insert(
    rows: Sequence[LogRow],
    *,
    is_counted: bool = True,
    counted_corrections: Collection[UUID] = (),
) -> set[UUID]:
    """Store the rows, all or none, on Django's connection; return the ids of those that are new.

    Calls count against the quota, and the corrections that are named. Beyond it this fails as
    accounts/limits/log_quotas.py says, unless the rows are not counted.
    """
    if not rows:
        return set()
    counting = Counting.REFUSABLE if is_counted else Counting.NONE
    parameters: list[Any] = [parameter(rows)]
    if counted_corrections:
        counting = Counting.WITH_CORRECTIONS
        parameters.append([*counted_corrections])
    with connection.cursor() as cursor:
        cursor.execute(_INSERT[counting], parameters)
        return set(cursor.fetchone()[0] or ())


async def insert_group(execute: Execute, rows: list[LogRow]) -> list[bool]:
    """Store the rows; return for each whether it is new. One that is not repeats a stored event."""
    sql = _INSERT_SINGLE if len(rows) == 1 else _INSERT[Counting.REFUSABLE]
    [(new, _)] = await execute(sql, [parameter(rows)])
    # A row without an event id is new even if a repeated statement finds it committed already.
    known = set(new or ())
    return [row.event_id is None or row.id in known for row in rows]


def parameter(rows: Sequence[LogRow]) -> str:
    """Return the rows as the parameter of a statement with `insert_steps`."""
    # The sort is stable: of an event that comes twice, the first is stored.
    ordered = sorted(rows, key=_lock_order) if len(rows) > 1 else rows
    return json_writer.dumps([row.columns for row in ordered]).decode()


def _lock_order(row: LogRow) -> tuple[UUID, str]:
    return row.columns["project_id"], row.event_id or ""


writer = GroupWriter(insert_group)
