from datetime import UTC, datetime

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.models import Project
from registry_proxy import custom_prices
from registry_proxy.models import CustomPrice

# The classes that nearly every price list names; others are set on the page of prices.
CLASSES = ("input", "output", "cache_read", "cache_write", "thinking")


def _text(**options) -> forms.CharField:
    return forms.CharField(widget=UnfoldAdminTextInputWidget, **options)


class PriceForm(forms.Form):
    """What a model costs: amounts by class of tokens, or the prices of a registry's model."""

    provider = _text(max_length=50, help_text="As calls name it; * is any text.")
    model = _text(max_length=255, help_text="As calls name it; * is any text.")
    input = _text(required=False, label="Input", help_text="US dollars per million tokens.")
    output = _text(required=False, label="Output", help_text="US dollars per million tokens.")
    cache_read = _text(required=False, label="Cache read")
    cache_write = _text(required=False, label="Cache write")
    thinking = _text(required=False, label="Thinking", help_text="Empty: as output.")
    priced_as = _text(
        required=False,
        max_length=255,
        label="Or the prices of",
        help_text="provider:model of the registry, such as openai:gpt-4o-mini.",
    )
    project = forms.ModelChoiceField(
        Project.objects.order_by("name"),
        required=False,
        empty_label="All projects",
        widget=UnfoldAdminSelectWidget,
    )
    valid_from = _text(help_text="The day (UTC) from which it holds; the first call without price.")
    note = _text(required=False, max_length=255)
    reprice = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanWidget,
        label="Price the calls again that have no price",
    )

    def clean_valid_from(self) -> datetime:
        try:
            at = datetime.fromisoformat(self.cleaned_data["valid_from"])
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError("Write a day, such as 2026-11-26.") from None
        if not 1970 <= at.year <= 9000:
            raise ValidationError("Write a day between 1970 and 9000.")
        return at

    def clean(self) -> dict:
        cleaned = super().clean()
        amounts = {name: cleaned[name] for name in CLASSES if cleaned.get(name)}
        try:
            cleaned["prices"] = custom_prices.parse_amounts(amounts)
            if not self.errors:
                price = self._built(cleaned)
                price.full_clean()
                if custom_prices.overlaps(price):
                    raise ValidationError(custom_prices.OVERLAP)
        except ValidationError as error:
            self.add_error(None, error.messages)
        return cleaned

    def price(self) -> CustomPrice:
        """Return the price, which is not stored."""
        return self._built(self.cleaned_data)

    def _built(self, values: dict) -> CustomPrice:
        project = values.get("project")
        names = ("provider", "model", "prices", "priced_as", "valid_from", "note")
        return CustomPrice(
            project_id=project.id if project else None, **{name: values[name] for name in names}
        )
