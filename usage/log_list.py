"""The admin's list of logs: its selection, and the sums over it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR
from django.db import connection
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.functional import cached_property

from accounts.admin.demo_lists import RealChangeList
from accounts.api_keys import is_id
from accounts.models import Project
from core import ids
from core.database.timeouts import unless_too_slow
from usage.daily_selection import TOTALS, DailySelection, DailyTimeline
from usage.day_ranges import on_days
from usage.label_filters import LabelFilter, ProjectFilter
from usage.ledger import SHARE_SQL
from usage.ledger_condition import condition_of
from usage.models import DailyUsage, UsageLog
from usage.windows import MAX_AHEAD

SUM_MILLISECONDS = 1_000  # that the sums of a page may take
PAGE_MILLISECONDS = 100  # of many logs; if that is too little, the sums follow the page
MAX_SUMMED_AT_ONCE = 100_000
RECEIVED_BEFORE = ("received_at__lt", "received_at__lte")
CLOCK_SKEW = timedelta(days=1)  # generously, between a worker and the database
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


class LogChangeList(RealChangeList):
    """Reads no more of the ledger than the list can have logs in.

    `latest`: no log that was received as early as the list asks for happened after that.
    """

    latest: datetime | None = None

    def get_queryset(self, request, exclude_parameters=None):
        logs = super().get_queryset(request, exclude_parameters)
        if self.latest:
            logs = logs.filter(id__lt=ids.lowest(self.latest))
        return self.daily.narrowed(logs)

    def get_filters(self, request):
        specs, has_filters, lookups, *rest = super().get_filters(request)
        daily = DailySelection.all().within(self.start, self.end)
        if self.left_out:
            daily = daily.without(self.left_out.id)
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
        received = [at for name in RECEIVED_BEFORE for at in lookups.get(name, ())]
        self.latest = min(received) + MAX_AHEAD + CLOCK_SKEW if received else None
        return specs, has_filters, lookups, *rest

    @cached_property
    def totals(self) -> Totals | None:
        """The sums of the selected logs; None if the page should not wait for them."""
        is_small = self.daily.is_exact or self.daily.entries() <= MAX_SUMMED_AT_ONCE
        return self.sum(milliseconds=SUM_MILLISECONDS if is_small else PAGE_MILLISECONDS)

    def sum(self, *, milliseconds: int | None = None) -> Totals | None:
        """Return the sums of the selected logs; None if they take longer than this or a request."""
        if self.daily.is_exact and not self.daily.cut_days:
            return Totals(**self.daily.sums())
        sums = unless_too_slow(self._sums, milliseconds=milliseconds)
        return None if sums is None else Totals(**sums)

    def _sums(self) -> dict[str, Any]:
        if self.page_num == 1 and len(self.result_list) < self.list_per_page:
            # There are no others, and finding these may have taken most of the time.
            return _sums(UsageLog.objects.filter(pk__in=[log.pk for log in self.result_list]))
        if not self.daily.is_exact:
            return _sums(self.selected)
        whole, cut = self.daily.sums(), _sums(self.selected.filter(on_days(self.daily.cut_days)))
        return {name: whole[name] + cut[name] for name in TOTALS}

    @property
    def sums_address(self) -> str:
        """The address that the sums are fetched from, if the page does not wait for them."""
        query = self.get_query_string({ORDER_VAR: None, PAGE_VAR: None})
        return f"{reverse('admin:usage_usagelog_sums')}{query}"

    def get_timeline(self, rows: QuerySet) -> DailyTimeline:
        return DailyTimeline(self.daily.rows)

    @property
    def unpriced_models(self) -> list[tuple[str, str]]:
        """The first models, as provider and name, of selected days that have no price.

        Nobody sets prices of demo data.
        """
        real = Project.objects.real().values("id")
        rows = self.daily.rows.filter(unpriced_requests__gt=0, project_id__in=real)
        rows = rows.order_by("provider", "model")
        return list(rows.values_list("provider", "model").distinct()[:MAX_UNPRICED_MODELS])

    def get_results(self, request):
        self.selected = self.queryset
        super().get_results(request)


def label_search(text: str) -> Q | None:
    """Return the condition of the labels that contain the text, or of the project or key of an id.

    None if there are none. It holds for rows of the ledger and of the daily sums alike.
    """
    text = text.strip().replace("\x00", "")
    if not text:
        return None
    if is_id(text):
        return _owner(UUID(text))
    labels = {name: _labels_with(name, text) for name in SEARCHED_LABELS}
    conditions = [(f"{name}__in", values) for name, values in labels.items() if values]
    return Q(*conditions, _connector=Q.OR) if conditions else None


def _owner(id: UUID) -> Q | None:
    conditions = [Q(project_id=id), Q(api_key_id=str(id))]
    return next((q for q in conditions if DailyUsage.objects.filter(q).exists()), None)


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
