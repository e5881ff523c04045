"""Invented calls for the demo project: 90 days with nights, weekends, growth and errors."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from core import ids
from core.scoping import Caller
from usage import ledger
from usage.ledger import LogRow
from usage.models import CostSource, EntryType
from usage.reports.reported_usage import UsageStatus
from usage.windows import midnight

DAYS = 90
PROFILE = "demo"  # of every log: it is exported and certified, so it is marked everywhere
_CALLS_PER_DAY = 55
_ROWS_PER_STATEMENT = 1_000
_MILLION = Decimal(1_000_000)
# Share of each hour (UTC) of a working day, from midnight.
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 17, 13, 16, 18, 17, 14, 10, 7, 5, 4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Calls of one sort. Prices are dollars per million tokens of prompt and completion."""

    share: int
    provider: str
    model: str
    alias: str | None
    origin: str | None
    prompt: int
    completion: int
    latency_ms: int | None
    prices: tuple[str, str] | None


_KINDS = (
    _Kind(30, "openai", "gpt-4o-mini", "fast", "support-chat", 900, 180, 700, ("0.15", "0.6")),
    _Kind(18, "openai", "gpt-4o", "smart", "support-chat", 1400, 350, 1900, ("2.5", "10")),
    _Kind(16, "anthropic", "claude-sonnet-4", "smart", "code-review", 5200, 900, 6400, ("3", "15")),
    _Kind(9, "anthropic", "claude-3-5-haiku", "fast", "search", 1100, 150, 900, ("0.8", "4")),
    _Kind(12, "google", "gemini-2.0-flash", "fast", "search", 2100, 220, 800, ("0.1", "0.4")),
    _Kind(
        6, "mistral", "mistral-large-latest", None, "nightly-report", 7000, 1300, 5200, ("2", "6")
    ),
    _Kind(4, "ollama", "llama3.2", "local", "search", 800, 200, 3100, ("0", "0")),
    _Kind(3, "in-house", "tuned-summarizer-7b", "local", None, 3000, 400, None, None),
)
_SHARES = [kind.share for kind in _KINDS]


def make_calls(caller: Caller, *, now: datetime, random: Random) -> list[LogRow]:
    """Store the calls of DAYS days up to `now`; return their rows, oldest first.

    The costs are the caller's own: no price of this server is used or changed.
    """
    first = now.date() - timedelta(days=DAYS - 1)
    rows = [
        row
        for n in range(DAYS)
        for row in _calls_of(caller, first + timedelta(days=n), n / DAYS, now, random)
    ]
    rows.sort(key=lambda row: row.id)
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        ledger.insert(rows[start : start + _ROWS_PER_STATEMENT])
    return rows


def _calls_of(
    caller: Caller, day: date, progress: float, now: datetime, random: Random
) -> Iterator[LogRow]:
    level = 0.25 if day.weekday() >= 5 else 1.0
    count = round(_CALLS_PER_DAY * level * (0.6 + 0.8 * progress) * random.uniform(0.8, 1.2))
    for hour in random.choices(range(24), _HOURS, k=max(count, 1)):
        second = hour * 3600 + random.randrange(3600)
        at = midnight(day) + timedelta(seconds=second, microseconds=random.randrange(1_000_000))
        if at <= now:
            [kind] = random.choices(_KINDS, _SHARES)
            yield LogRow(_columns(caller, kind, at, now, random))


def _columns(caller: Caller, kind: _Kind, at: datetime, now: datetime, random: Random) -> dict:
    prompt, completion = (_around(size, random) for size in (kind.prompt, kind.completion))
    [status] = random.choices(
        (UsageStatus.SETTLED, UsageStatus.FAILED, UsageStatus.UNKNOWN), (970, 22, 8)
    )
    columns = {
        "id": ids.uuid7(at),
        **caller.columns(),
        "created_at": at,
        "received_at": now,
        "provider": kind.provider,
        "model": kind.model,
        "alias": kind.alias,
        "origin": kind.origin,
        "profile": PROFILE,
        "entry_type": EntryType.CALL.value,
        "usage_status": status.value,
        "read_as": "flat",
        "cached_input_tokens": 0,
        "metadata": {"demo": True},
        "latency_ms": kind.latency_ms and _around(kind.latency_ms, random),
        **_billed(kind, status, prompt, completion),
    }
    return {name: value for name, value in columns.items() if value is not None}


def _billed(kind: _Kind, status: UsageStatus, prompt: int, completion: int) -> dict:
    if status == UsageStatus.UNKNOWN:
        reason = "demo: the stream was cut off before the usage came"
        return {"cost_source": CostSource.UNPRICED.value, "unpriced_reason": reason}
    if status == UsageStatus.FAILED:
        nothing = {"input_tokens": 0, "output_tokens": 0, "cost": Decimal(0)}
        return {**nothing, "cost_source": CostSource.CALLER.value}
    tokens = {"input_tokens": prompt, "output_tokens": completion}
    if kind.prices is None:
        reason = f"demo: nobody has a price of {kind.model}"
        return {**tokens, "cost_source": CostSource.UNPRICED.value, "unpriced_reason": reason}
    price_in, price_out = map(Decimal, kind.prices)
    cost = (prompt * price_in + completion * price_out) / _MILLION
    return {**tokens, "cost": cost, "cost_source": CostSource.CALLER.value}


def _around(middle: int, random: Random) -> int:
    """Return a number as such sizes are spread: most near the middle, a few far above."""
    return max(1, round(middle * math.exp(random.gauss(0, 0.5))))


def receipted(rows: Sequence[LogRow], *, count: int) -> list[LogRow]:
    """Return the newest calls that a receipt can state: those with a cost."""
    return [row for row in rows if row.cost][-count:]
