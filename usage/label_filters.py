"""Filters of the list of logs: any of several values, chosen from those that there are."""

from collections.abc import Iterator
from datetime import timedelta

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from unfold.contrib.filters.forms import DropdownForm

from accounts.models import ApiKey, Project
from usage.filters import NONE
from usage.models import DailyUsage

MAX_CHOICES = 500
_RECENT_DAYS = 90


class ValuesFilter(admin.FieldListFilter):
    """Logs with any of the chosen values; `none` stands for logs without one."""

    template = "unfold/filters/filters_field.html"
    form_class = DropdownForm
    heading = ""

    @property
    def parameter(self) -> str:
        return f"{self.field_path}__exact"

    @property
    def values(self) -> list[str]:
        """The chosen values, however an address names them."""
        used = self.used_parameters
        listed = used.get(f"{self.field_path}__in", ())
        values = [*used.get(self.parameter, ()), *(value for values in listed for value in values)]
        if any(used.get(f"{self.field_path}__isnull", ())):
            values.append(NONE)
        return [value for value in values if value]

    def expected_parameters(self) -> list[str]:
        return [self.parameter, f"{self.field_path}__in", f"{self.field_path}__isnull"]

    def queryset(self, request, queryset):
        return queryset.filter(self._condition(Q(**{f"{self.field_path}__isnull": True})))

    def on_daily_sums(self) -> Q:
        """Return the condition on rows of the daily sums."""
        return self._condition(Q(**{self.field_path: ""}))

    def _condition(self, none: Q) -> Q:
        if not self.values:
            stated = self.used_parameters.get(f"{self.field_path}__isnull", ())
            return ~none if False in stated else Q()
        condition = Q(**{f"{self.field_path}__in": [v for v in self.values if v != NONE]})
        return condition | none if NONE in self.values and self.field.null else condition

    def options(self) -> list[tuple[str, str]]:
        """Return the values to choose from, each with its name on the page."""
        return list(self.field.flatchoices)

    def choices(self, changelist) -> Iterator[dict]:
        options = self.options()
        known = {value for value, _ in options}
        describe = changelist.model_admin.describe_filter_value
        options += [(v, describe(self.parameter, v)) for v in self.values if v not in known]
        form = self.form_class(
            name=self.parameter,
            label=(self.heading or str(self.title)).capitalize(),
            choices=options,
            multiple=True,
            data={self.parameter: self.values},
        )
        yield {"form": form}


class LabelFilter(ValuesFilter):
    """A label that the daily sums are kept by: its choices are known from them."""

    def options(self) -> list[tuple[str, str]]:
        rows = DailyUsage.objects.order_by(self.field_path)
        values = rows.values_list(self.field_path, flat=True).distinct()
        recent = values.filter(day__gte=timezone.now().date() - timedelta(days=_RECENT_DAYS))
        labels = list(recent[:MAX_CHOICES]) or list(values[:MAX_CHOICES])
        named = [(value, value) for value in labels if value]
        return [(NONE, "none"), *named] if "" in labels else named


class KeyFilter(LabelFilter):
    heading = "key"

    def options(self) -> list[tuple[str, str]]:
        values = [value for value, _ in super().options()]
        uuids = [value for value in values if value != NONE]
        names = dict(ApiKey.objects.filter(id__in=uuids).values_list("id", "name"))
        named = {str(id): f"{name or 'key'} ({str(id)[:8]})" for id, name in names.items()}
        return [(value, named.get(value, value)) for value in values]


class ProjectFilter(ValuesFilter):
    heading = "project"

    def options(self) -> list[tuple[str, str]]:
        projects = Project.objects.order_by("name", "id").values_list("id", "name")
        return [(str(id), name) for id, name in projects[:MAX_CHOICES]]
