"""The admin's lists, which show every active filter."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import IGNORED_PARAMS, ORDER_VAR, SEARCH_VAR
from django.db.models import DateTimeField, F, Field
from django.utils.functional import cached_property
from django.utils.http import urlencode
from unfold.views import ChangeList as UnfoldChangeList

_COMPARISONS = ("exact", "gt", "gte", "lt", "lte")
_SILENT = ("", "exact", "in", "isnull")
_FALSE = ("", "false", "False", "0")
_OPERATORS = {"gte": "from", "gt": "after", "lt": "before", "lte": "until", "icontains": "contains"}


class ActiveFilter(NamedTuple):
    """One value of one query parameter as text, and the list's address without it."""

    label: str
    value: str
    removal: str


class ChangeList(UnfoldChangeList):
    """Sorts nulls last in either direction, and lists the active filters."""

    def get_ordering(self, request, queryset):
        return [self._nulls_last(part) for part in super().get_ordering(request, queryset)]

    def _nulls_last(self, part):
        name = part.lstrip("-") if isinstance(part, str) else ""
        if name not in self._fields or not self._fields[name].null:
            return part
        column = F(name)
        return column.desc(nulls_last=True) if part != name else column.asc(nulls_last=True)

    def get_filters(self, request):
        specs, has_filters, lookups, *rest = super().get_filters(request)
        for name in self._times(lookups):
            # A form sends its empty fields too.
            lookups[name] = [utc_time(value) for value in lookups[name] if value]
            if not lookups[name]:
                del lookups[name]
        return specs, has_filters, lookups, *rest

    def _times(self, lookups: dict) -> list[str]:
        paths = {name: name.partition("__")[::2] for name in lookups}
        return [
            name
            for name, (path, lookup) in paths.items()
            if isinstance(self._fields.get(path), DateTimeField) and lookup in ("", *_COMPARISONS)
        ]

    @cached_property
    def _fields(self) -> dict[str, Field]:
        return {field.name: field for field in self.lookup_opts.fields}

    def get_queryset(self, request, exclude_parameters=None):
        rows = super().get_queryset(request, exclude_parameters)
        self.has_active_filters = any(True for _ in self.active_filters)
        order = self.params.get(ORDER_VAR)
        self.clear_all_filters_qs = f"?{urlencode({ORDER_VAR: order})}" if order else "?"
        return rows

    def get_results(self, request):
        try:
            super().get_results(request)
        except IncorrectLookupParameters:
            self._explain_page(request)
            raise
        if not self.show_full_result_count:
            # Nothing was counted: unfold would write that there are ten billion results.
            self.full_result_count = self.result_count

    def _explain_page(self, request) -> None:
        """Explain a page number beyond the paginator's limit."""
        paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        limit = getattr(paginator, "max_pages", self.page_num)
        if self.page_num > limit:
            limited = f"Only the first {limit:,} pages of that list are shown"
            messages.warning(request, f"{limited}: narrow it")

    @property
    def kept_parameters(self) -> Iterator[tuple[str, str]]:
        """The parameters that the filter form has to repeat, as it has no field for them."""
        fields = {name for spec in self.filter_specs for name in spec.expected_parameters()}
        for name, values in self.filter_params.items():
            if name not in fields:
                yield from ((name, value) for value in values)

    @property
    def active_filters(self) -> Iterator[ActiveFilter]:
        """Everything that narrows the list, each with a link that removes it alone."""
        for name, values in self.filter_params.items():
            if name in IGNORED_PARAMS and name != SEARCH_VAR:
                continue
            for position, value in enumerate(values):
                if value:
                    yield ActiveFilter(
                        self._label(name),
                        self._words(name, value),
                        self._without(name, position),
                    )

    def _label(self, name: str) -> str:
        if name == SEARCH_VAR:
            return "search"
        path, _, lookup = name.rpartition("__")
        field, operator = (path, _OPERATORS.get(lookup, lookup)) if path else (name, "")
        words = field.removesuffix("_id").replace("_", " ").replace("  ", " ")
        return words if operator in _SILENT else f"{words} {operator}"

    def _words(self, name: str, value: str) -> str:
        if name.endswith("__isnull"):
            return "none" if value not in _FALSE else "any"
        return self.model_admin.describe_filter_value(name, value)

    def _without(self, name: str, position: int) -> str:
        pairs = [
            (other, value)
            for other, values in self.filter_params.items()
            for n, value in enumerate(values)
            if (other, n) != (name, position)
        ]
        return f"?{urlencode(pairs)}"


def utc_time(value: datetime | str) -> datetime:
    """Return a lookup's time in UTC, from a datetime or from the text of a query string.

    Without a time zone it is UTC. Raises IncorrectLookupParameters.
    """
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise IncorrectLookupParameters(f"{value} is not a date") from None
    if not 1970 <= time.year < 9000:
        raise IncorrectLookupParameters(f"No id carries {value}")
    return time
