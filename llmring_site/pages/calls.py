"""Calls as pages show them: the rows of `GET /logs`, formatted."""

import json
from dataclasses import dataclass
from decimal import Decimal

import orjson

from core import number_formats
from core.cursors import NEXT_CURSOR
from core.scoping import Caller
from usage import listing
from usage.models import CostSource, EntryType, UsageStatus
from usage.query_schemas import LogsQuery


@dataclass(frozen=True, slots=True)
class Call:
    time: str  # UTC
    model: str
    alias: str
    origin: str
    tokens: str
    cost: str  # US dollars, exact; or that it is unknown
    latency: str
    remark: str  # anything unusual, such as that it is a correction


def calls(caller: Caller, query: LogsQuery) -> tuple[list[Call], str | None]:
    """Return a page of calls, newest first, and the cursor of the next page, if there is one."""
    body, headers = listing.logs(caller, query)
    # Costs keep every digit.
    rows = json.loads(orjson.dumps(body), parse_float=Decimal, parse_int=Decimal)
    return [_call(row) for row in rows], headers.get(NEXT_CURSOR.name)


def _call(row: dict) -> Call:
    is_unpriced = row["cost_source"] == CostSource.UNPRICED
    return Call(
        time=row["logged_at"][:19].replace("T", " "),
        model=f"{row['provider']}:{row['model']}",
        alias=row["alias"] or "",
        origin=row["origin"] or "",
        tokens=f"{_count(row['input_tokens'])} in, {_count(row['output_tokens'])} out",
        cost=number_formats.UNKNOWN if is_unpriced else number_formats.exact(Decimal(row["cost"])),
        latency="" if row["latency_ms"] is None else f"{row['latency_ms']:,} ms",
        remark=", ".join(_remarks(row)),
    )


def _count(tokens: Decimal | None) -> str:
    return "–" if tokens is None else f"{tokens:,}"


def _remarks(row: dict):
    if row["entry_type"] != EntryType.CALL:
        yield row["entry_type"]
    if row["usage_status"] != UsageStatus.SETTLED:
        yield f"usage {row['usage_status']}"
