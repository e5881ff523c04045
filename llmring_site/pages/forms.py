"""Forms of the pages of projects, with the admin's widgets."""

from datetime import UTC, date, datetime, time, timedelta

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.models import Role, Scope
from accounts.people.forms import EmailField
from accounts.projects import MAX_NAME
from core.ids import uuid7
from core.visible_text import validate_visible

HOUR = 3_600
_OVERLAPS = [
    (0, "not at all"),
    (HOUR, "an hour"),
    (24 * HOUR, "a day"),
    (7 * 24 * HOUR, "a week"),
    (30 * 24 * HOUR, "30 days"),
]


class OnceForm(forms.Form):
    """A form that contains the id of the row that it creates: sent twice, it creates one."""

    form_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid7)


class ProjectForm(OnceForm):
    name = forms.CharField(
        label="Name",
        max_length=MAX_NAME,
        validators=[validate_visible],
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class KeyForm(OnceForm):
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=255,
        help_text="Where the key is used.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label="May",
        choices=Scope.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    last_day = forms.DateField(
        label="Last day (UTC)",
        required=False,
        help_text="Empty: the key does not expire.",
        widget=forms.DateInput(
            attrs={"type": "date", "class": " ".join(INPUT_CLASSES)}, format="%Y-%m-%d"
        ),
    )

    def clean_last_day(self) -> date | None:
        day = self.cleaned_data["last_day"]
        if day is None:
            return None
        if not datetime.now(UTC).date() <= day < date.max:
            raise ValidationError("Choose today or a later day.")
        return day

    @property
    def expires_at(self) -> datetime | None:
        """The end of the last day."""
        day = self.cleaned_data["last_day"]
        return day and datetime.combine(day + timedelta(days=1), time.min, UTC)


class RotationForm(OnceForm):
    overlap_seconds = forms.TypedChoiceField(
        label="The old value still works for",
        choices=_OVERLAPS,
        coerce=int,
        initial=24 * HOUR,
        widget=UnfoldAdminSelectWidget,
    )


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices, widget=UnfoldAdminSelectWidget)


class InvitationForm(OnceForm):
    email = EmailField()
    role = forms.ChoiceField(
        label="Role",
        choices=Role.choices,
        initial=Role.MEMBER,
        widget=UnfoldAdminSelectWidget,
        help_text="Viewers read. Members also log and make keys. Admins also invite and "
        "manage members. Owners may do everything.",
    )
