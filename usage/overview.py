"""Usage of some projects, for pages that people read: by day, by label, against the period before.

The figures are those of `/stats`, from the same function.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from core.database.any_id import uuid_array
from core.database.raw_connection import pooled_cursor
from usage.label_sums import sum_by_labels
from usage.models import DailyUsage
from usage.query_schemas import StatsQuery

# Labels whose names are ranked.
RANKED_LABELS = ("model", "provider", "alias", "origin", "api_key_id", "project")
_SUMS = ("requests", "unpriced_requests", "unknown_requests", "cost")
COMPARED_DAYS = (1, 7, 30)  # lengths of periods that are compared with those before
MAX_UNPRICED = 50  # models in a list of those without a price


@dataclass(frozen=True, slots=True)
class CallSums:
    """Calls and what is known of their cost in US dollars. Corrections can make any of it negative.

    `unpriced` calls have an unknown cost, which is not 0.
    """

    calls: int = 0
    unpriced: int = 0
    cost: Decimal = Decimal(0)

    @classmethod
    def of(cls, sums: dict) -> "CallSums":
        unpriced = sums["unpriced_requests"] + sums["unknown_requests"]
        return cls(int(sums["requests"]), int(unpriced), Decimal(sums["cost"]))

    def __add__(self, other: "CallSums") -> "CallSums":
        return CallSums(
            self.calls + other.calls, self.unpriced + other.unpriced, self.cost + other.cost
        )

    @property
    def is_cost_unknown(self) -> bool:
        """Whether none of the calls has a price."""
        return self.calls != 0 and self.unpriced == self.calls and not self.cost


NOTHING = CallSums()


def total(usages: Iterable[CallSums]) -> CallSums:
    return sum(usages, NOTHING)


def days_between(first: date, last: date) -> list[date]:
    """Return every day from the first to the last."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@dataclass(frozen=True, slots=True)
class Overview:
    """Usage of whole days (UTC), and by the names of each ranked label, "" for none."""

    days: list[date]
    by_day: dict[date, CallSums]
    by_model: dict[tuple[date, str], CallSums]
    by_label: dict[str, dict[str, CallSums]]

    @property
    def total(self) -> CallSums:
        return total(self.by_day.values())


def overview(projects: Sequence[UUID], first: date, last: date) -> Overview:
    """Return the usage of these projects from the first day to the end of the last. One query."""
    groups = sum_by_labels(
        projects, _query(first, last), labels=RANKED_LABELS, sums=_SUMS, dated_sums=_SUMS
    )
    return Overview(
        days=days_between(first, last),
        by_day=_usages(groups["period"]),
        by_model=_usages(groups["period_and_model"]),
        by_label={name: _usages(groups[name]) for name in RANKED_LABELS},
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The usage of some days, and that of as many days before them."""

    days: int
    now: CallSums
    before: CallSums

    @property
    def calls_change(self) -> Decimal | None:
        """Return the change in percent; None if there was nothing before."""
        return change(self.now.calls, self.before.calls)

    @property
    def cost_change(self) -> Decimal | None:
        """Return the change in percent; None if there was nothing before, or a cost is unknown."""
        if self.now.is_cost_unknown or self.before.is_cost_unknown:
            return None
        return change(self.now.cost, self.before.cost)


def change(now: Decimal | int, before: Decimal | int) -> Decimal | None:
    """Return the change in percent; None from nothing, or from below it."""
    return (Decimal(now) - before) / before * 100 if before > 0 else None


def comparisons(projects: Sequence[UUID], today: date) -> list[Comparison]:
    """Return the usage of the last days, today included, against the period before. One query."""
    first = today - timedelta(days=2 * max(COMPARED_DAYS) - 1)
    query = _query(first, today)
    groups = sum_by_labels(projects, query, labels=(), sums=_SUMS, dated_sums=_SUMS)
    by_day = _usages(groups["period"])

    def between(oldest: int, newest: int) -> CallSums:
        days = days_between(today - timedelta(days=oldest), today - timedelta(days=newest))
        return total(by_day.get(day, NOTHING) for day in days)

    return [
        Comparison(days, between(days - 1, 0), between(2 * days - 1, days))
        for days in COMPARED_DAYS
    ]


class UnpricedModel(NamedTuple):
    """A model with calls that have no price; tokens are those of its calls priced by nobody."""

    provider: str
    model: str
    calls: int
    tokens: int


def unpriced_models(projects: Sequence[UUID], first: date, last: date) -> list[UnpricedModel]:
    """Return models that need a price, those with most calls first; at most MAX_UNPRICED."""
    with pooled_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT provider, model, sum(unpriced_requests), sum(input_tokens + output_tokens)
            FROM usage_daily
            WHERE project_id = ANY(%(projects)s::uuid[]) AND day >= %(first)s AND day <= %(last)s
                AND unpriced_requests <> 0
            GROUP BY provider, model HAVING sum(unpriced_requests) > 0
            ORDER BY 3 DESC, 1, 2 LIMIT {MAX_UNPRICED}
            """,
            {"projects": uuid_array(projects), "first": first, "last": last},
        )
        return [
            UnpricedModel(provider, model, int(calls), int(tokens))
            for provider, model, calls, tokens in cursor
        ]


def has_usage() -> bool:
    """Return whether any project has logged anything."""
    return DailyUsage.objects.exists()


def _query(first: date, last: date) -> StatsQuery:
    return StatsQuery(start_date=first.isoformat(), end_date=last.isoformat())


def _usages(groups: dict) -> dict:
    return {key: CallSums.of(sums) for key, sums in groups.items()}


def ranked(usages: dict[str, CallSums], *, limit: int) -> tuple[list[str], list[str], CallSums]:
    """Return the names with the highest cost, the names of the rest, and the usage without a name.

    Of equal costs the one with more calls is first. All three together are everything.
    """
    names = sorted(
        filter(None, usages),
        key=lambda name: (-usages[name].cost, -usages[name].calls, name),
    )
    # A rest of one is shown by its name.
    if len(names) == limit + 1:
        limit += 1
    return names[:limit], names[limit:], usages.get("", NOTHING)
