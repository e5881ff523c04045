"""The admin's list of logs: what it selects, and the sums of that."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from accounts.api_keys import is_id
from core.database.timeouts import unless_too_slow
from core.timeline import TimelineChangeList
from usage.daily_selection import TOTALS, DailySelection, DailyTimeline
from usage.label_filters import LabelFilter, ProjectFilter
from usage.ledger import SHARE_SQL
from usage.ledger_condition import condition_of
from usage.models import DailyUsage, UsageLog

SUM_MILLISECONDS = 1_000  # that the sums of a page may take
MAX_UNPRICED_MODELS = 5  # that the page names
MAX_FOUND_LABELS = 500  # of a kind, that a search looks for
SEARCHED_LABELS = ("model", "alias", "origin")


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of the selected logs. Reversals count negatively, and as an entry."""

    entries: int
    requests: int
    unpriced_requests: int
    unknown_requests: int
    cost: Decimal
    input_tokens: int
    output_tokens: int

    @property
    def without_price(self) -> int:
        return int(self.unpriced_requests + self.unknown_requests)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing of the cost is known."""
        return bool(self.requests) and self.without_price == self.requests


class LogChangeList(TimelineChangeList):
    def get_queryset(self, request, exclude_parameters=None):
        logs = super().get_queryset(request, exclude_parameters)
        return self.daily.narrowed(logs)

    def get_filters(self, request):
        specs, has_filters, lookups, *rest = super().get_filters(request)
        daily = DailySelection.all().within(self.start, self.end)
        others = {name for name in lookups if name not in ("id__gte", "id__lt")}
        for spec in specs:
            if isinstance(spec, LabelFilter | ProjectFilter):
                condition = spec.on_daily_sums()
                daily = daily.labelled(condition) if condition else daily
            elif getattr(spec, "values", ()):
                others.add(spec.parameter)
        if self.query:
            condition = request.label_condition = label_search(self.query)
            daily = daily.labelled(condition) if condition else daily.inexact()
        self.daily = daily.inexact() if others else daily
        return specs, has_filters, lookups, *rest

    @cached_property
    def totals(self) -> Totals | None:
        """The sums of the selected logs; None if they take too long."""
        if self.daily.is_exact:
            return Totals(**self.daily.sums())
        sums = partial(_sums, self.selected)
        found = unless_too_slow(sums, milliseconds=SUM_MILLISECONDS)
        return None if found is None else Totals(**found)

    def get_timeline(self, rows: QuerySet) -> DailyTimeline:
        return DailyTimeline(self.daily.rows)

    @property
    def unpriced_models(self) -> list[tuple[str, str]]:
        """The first models, as provider and name, of selected days that have no price."""
        rows = self.daily.rows.filter(unpriced_requests__gt=0).order_by("provider", "model")
        return list(rows.values_list("provider", "model").distinct()[:MAX_UNPRICED_MODELS])

    def get_results(self, request):
        self.selected = self.queryset
        super().get_results(request)


def label_search(text: str) -> Q | None:
    """Return the condition of the labels that contain the text; None for an id, or if none do.

    It holds for rows of the ledger and of the daily sums alike.
    """
    text = text.strip().replace("\x00", "")
    if not text or is_id(text):
        return None
    found = {name: _labels_with(name, text) for name in SEARCHED_LABELS}
    conditions = [(f"{name}__in", values) for name, values in found.items() if values]
    return Q(*conditions, _connector=Q.OR) if conditions else None


def _labels_with(name: str, text: str) -> list[str]:
    rows = DailyUsage.objects.filter(**{f"{name}__icontains": text}).order_by(name)
    return list(rows.values_list(name, flat=True).distinct()[:MAX_FOUND_LABELS])


def _sums(logs: QuerySet[UsageLog]) -> dict[str, Any]:
    condition, parameters = condition_of(logs)
    shares = {name: f"sum({SHARE_SQL[name]})" for name in TOTALS if name in SHARE_SQL}
    columns = [shares.get(name, "count(*)") for name in TOTALS]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM usage_logs WHERE {condition}", parameters)
        return dict(zip(TOTALS, (value or 0 for value in cursor.fetchone()), strict=True))
