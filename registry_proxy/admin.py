import json

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils import timezone

from accounts import audit
from accounts.admin.links import OwnerLinks
from core.admin import ModelAdmin, ReadOnlyAdmin
from core.admin_display import pretty_json
from registry_proxy import custom_prices
from registry_proxy.current_registry import MAX_PRICE_AGE_DAYS, are_old
from registry_proxy.models import CustomPrice, Refresh, Snapshot

MAX_SHOWN_CHANGES = 500
_CHANGE_COLUMNS = ("change_type", "model", "field", "old_value", "new_value", "notes")


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = [
        "snapshot_name",
        "version",
        "model_count",
        "change_count",
        "fetched_at",
        "prices_made_at",
        "are_prices_current",
        "short_digest",
    ]
    date_hierarchy = "taken_on"
    search_ids = ()
    search_texts = ("version", "digest")
    search_help_text = "Upstream's version, or the full digest."
    fields = [
        "snapshot_name",
        "version",
        "digest",
        "fetched_at",
        "prices_made_at",
        "model_count",
        "change_count",
        "formatted_changes",
    ]
    readonly_fields = ["snapshot_name", "formatted_changes"]

    def get_queryset(self, request):
        # The list needs a few columns; the changes may be megabytes.
        return super().get_queryset(request).defer("changes")

    @admin.display(description="name", ordering="id")
    def snapshot_name(self, snapshot: Snapshot) -> str:
        return str(snapshot)

    @admin.display(description=f"prices under {MAX_PRICE_AGE_DAYS} days old", boolean=True)
    def are_prices_current(self, snapshot: Snapshot) -> bool:
        return not are_old(snapshot.prices_made_at, now=timezone.now())

    @admin.display(description="digest")
    def short_digest(self, snapshot: Snapshot) -> str:
        return snapshot.digest[:12]

    @admin.display(description="changes")
    def formatted_changes(self, snapshot: Snapshot) -> str:
        """Return a table of what changed since the snapshot before."""
        shown = [
            [_cell(change.get(name)) for name in _CHANGE_COLUMNS]
            for change in snapshot.changes[:MAX_SHOWN_CHANGES]
        ]
        context = {
            "columns": [name.replace("_", " ") for name in _CHANGE_COLUMNS],
            "changes": shown,
            "more": max(0, len(snapshot.changes) - MAX_SHOWN_CHANGES),
        }
        return render_to_string("registry_proxy/changes.html", context)


def _cell(value: object) -> str:
    """Return a member of a change as text; null is empty."""
    if isinstance(value, str) or value is None:
        return value or ""
    return json.dumps(value, ensure_ascii=False)


@admin.register(Refresh)
class RefreshAdmin(ReadOnlyAdmin):
    list_display = ["attempted_at", "succeeded_at", "error", "problem_count"]
    exclude = ["problems"]
    readonly_fields = ["formatted_problems"]
    search_ids = ()
    search_texts = ("error",)

    @admin.display(description="left out or kept")
    def problem_count(self, refresh: Refresh) -> int:
        return len(refresh.problems)

    @admin.display(description="left out or kept")
    def formatted_problems(self, refresh: Refresh) -> str:
        return pretty_json(refresh.problems)


class CustomPriceForm(forms.ModelForm):
    def clean_prices(self) -> dict[str, str]:
        prices = self.cleaned_data["prices"] or {}
        if not isinstance(prices, dict):
            raise ValidationError('Write an object, such as {"input": "2.5"}.')
        return custom_prices.parse_amounts({name: str(text) for name, text in prices.items()})

    def clean(self) -> dict:
        cleaned = super().clean()
        if not self.errors:
            price = CustomPrice(**{**_values(self.instance), **cleaned})
            if custom_prices.overlaps(price):
                raise ValidationError(custom_prices.OVERLAP)
        return cleaned


def _values(price: CustomPrice) -> dict:
    return {field.name: getattr(price, field.name) for field in CustomPrice._meta.concrete_fields}


@admin.register(CustomPrice)
class CustomPriceAdmin(OwnerLinks, ModelAdmin):
    """Prices are added and ended. What calls were priced from does not change."""

    form = CustomPriceForm
    list_display = ["provider", "model", "modifier", "project", "valid_from", "valid_to", "note"]
    list_filter = ["provider"]
    search_fields = ["provider", "model", "note"]
    fields = [
        "provider",
        "model",
        "modifier",
        "project_id",
        "prices",
        "factor",
        "priced_as",
        "valid_from",
        "valid_to",
        "note",
    ]

    def get_readonly_fields(self, request, obj=None):
        return [name for name in self.fields if name not in ("valid_to", "note")] if obj else []

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    def save_model(self, request, obj, form, change) -> None:
        custom_prices.save(obj, origin=audit.of_request(request))
