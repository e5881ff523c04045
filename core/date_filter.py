"""The filter of a list of records by time."""

from collections.abc import Iterator

from django import forms
from django.contrib import admin
from unfold.widgets import UnfoldAdminTextInputWidget


class _DatesForm(forms.Form):
    def __init__(self, name: str, **kwargs) -> None:
        super().__init__(**kwargs)
        for lookup, label in (("gte", "From (UTC)"), ("lt", "Before (UTC)")):
            attrs = {"placeholder": "2026-11-26 or 2026-11-26T08:00"}
            widget = UnfoldAdminTextInputWidget(attrs=attrs)
            self.fields[f"{name}__{lookup}"] = forms.CharField(
                label=label, required=False, widget=widget
            )


class DatesFilter(admin.ListFilter):
    """A range of the list's date hierarchy; `TimelineChangeList` reads the parameters."""

    title = "time"
    template = "unfold/filters/filters_field.html"

    def __init__(self, request, params, model, model_admin) -> None:
        super().__init__(request, params, model, model_admin)
        self._name = model_admin.date_hierarchy
        self._values = {
            name: params[name][-1] for name in self.expected_parameters() if name in params
        }

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str]:
        return [f"{self._name}__gte", f"{self._name}__lt"]

    def queryset(self, request, queryset) -> None:
        return None

    def choices(self, changelist) -> Iterator[dict]:
        yield {"form": _DatesForm(self._name, data=self._values)}
