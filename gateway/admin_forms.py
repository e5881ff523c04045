"""Forms of the admin: limits are checked by the schemas of the management API."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from pydantic import ValidationError
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts import projects
from accounts.models import Project
from core import egress, parsing, schemas
from core.errors import InvalidInput
from core.json_writer import plain
from core.secrets import Sealed
from gateway import tokens, upstream_config
from gateway.models import Token, Upstream, UpstreamKey
from gateway.schemas.projects import ProjectChanges
from gateway.schemas.tokens import TokenChanges
from gateway.token_limits import ALLOW_LISTS, COUNTED_LIMITS

_DEFAULT_DAYS = 30
_MOVED = "The stored key is for where it was sent before: enter it again"
_MOVES_OTHERS = "Projects have keys of their own for this upstream's host: remove them first"


class LinesField(forms.CharField):
    """A list of texts, one in each line; None if there are none."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: object) -> list[str] | None:
        lines = [line.strip() for line in super().clean(value).splitlines()]
        return [line for line in lines if line] or None


def _lines(what: str) -> LinesField:
    return LinesField(required=False, help_text=f"{what}, one in each line. Empty: all.")


def _number(field: type[forms.Field], what: str, **options) -> forms.Field:
    return field(required=False, min_value=0, help_text=f"{what} Empty: no limit.", **options)


def _shown(limit: int | Decimal | None) -> int | Decimal | None:
    """Return a limit without the zeros of its column: 1.5, not 1.500000000000."""
    return Decimal(plain(limit)) if isinstance(limit, Decimal) else limit


class SchemaForm(forms.ModelForm):
    """A form whose members are checked by a schema of the API, which names the faults."""

    def check(
        self, schema: type[schemas.Schema], members: Mapping[str, Any], *, prefix: str = ""
    ) -> None:
        """Add the schema's errors to the fields of their names, which may have a prefix."""
        try:
            parsing.validate(schema, {**members})
        except InvalidInput as error:
            for issue in error.issues:
                name = prefix + "".join(map(str, issue["loc"][1:2]))
                self.add_error(name if name in self.fields else None, issue["msg"])


class TokenForm(SchemaForm):
    allowed_models = _lines("Patterns such as gpt-4o*")
    allowed_endpoints = _lines("Patterns such as /v1/chat/*")
    allowed_origins = _lines("Such as https://app.example.com")
    max_requests = _number(
        forms.IntegerField, "In its whole life.", widget=UnfoldAdminIntegerFieldWidget
    )
    requests_per_minute = _number(
        forms.IntegerField,
        "In each minute of the database's clock.",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    budget_usd = _number(
        forms.DecimalField,
        "US dollars in its whole life.",
        decimal_places=12,
        max_digits=38,
        label="Budget (USD)",
        widget=UnfoldAdminDecimalFieldWidget,
    )

    class Meta:
        model = Token
        fields = ["project", "name", "expires_at", "upstream", *ALLOW_LISTS]

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            self.initial.setdefault("expires_at", timezone.now() + timedelta(days=_DEFAULT_DAYS))
        else:
            for name in COUNTED_LIMITS:
                limit = getattr(self.instance.allowance, name)
                self.initial[name] = _shown(limit)

    def clean_project(self) -> Project:
        projects.check_active(self.cleaned_data["project"])
        return self.cleaned_data["project"]

    def clean_upstream(self) -> str:
        name = self.cleaned_data["upstream"]
        if name and "upstream" in self.changed_data:
            try:
                tokens.check_upstream(name)
            except InvalidInput as error:
                raise forms.ValidationError(str(error)) from None
        return name

    def clean_expires_at(self) -> datetime | None:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and "expires_at" in self.changed_data and expires_at <= timezone.now():
            raise forms.ValidationError("The time is past; a token is ended by revoking it.")
        return expires_at

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors:
            self.check(TokenChanges, self.limits())
        return cleaned

    def limits(self) -> dict[str, Any]:
        """Return the columns of the token and of its allowance."""
        limits = {name: value for name, value in self.cleaned_data.items() if name != "project"}
        expires_at = limits.pop("expires_at", None)
        return {**limits, "expires_at": expires_at and expires_at.isoformat()}


class _SecretForm(SchemaForm):
    """A form that takes a key and never shows it."""

    new_api_key = forms.CharField(
        required=False,
        max_length=1_000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Stored sealed and never shown. Empty: the stored one stays.",
        label="API key",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check(ProjectChanges, {"api_key": cleaned.get("new_api_key", "")}, prefix="new_")
        if not self.errors and self.would_send_elsewhere() and not cleaned["new_api_key"]:
            self.add_error("new_api_key", f"{_MOVED}.")
        return cleaned

    def would_send_elsewhere(self) -> bool:
        """Return whether the stored key, which nobody can read, would go to another place."""
        raise NotImplementedError


def _is_elsewhere(known: str, base_url: str) -> bool:
    try:
        return egress.origin(known) != egress.origin(base_url)
    except ValueError:  # it is no address
        return True


class UpstreamForm(_SecretForm):
    remove_api_key = forms.BooleanField(
        required=False, label="Remove the stored API key", widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = Upstream
        fields = ["name", "base_url", "options", "is_enabled"]
        labels = {"base_url": "Base URL"}

    def would_send_elsewhere(self) -> bool:
        if self.instance.api_key is None or self.cleaned_data["remove_api_key"]:
            return False
        # The form has not been written to the instance yet.
        return _is_elsewhere(self.instance.base_url, self.cleaned_data["base_url"])

    def clean_options(self) -> object:
        return self.cleaned_data["options"] or {}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors:
            members = {name: cleaned[name] for name in ("name", "base_url", "options")}
            try:
                upstream_config.stored(**members)
            except ValidationError as error:
                for (field, *path), fault in upstream_config.faults(error):
                    self.add_error(field, ": ".join([*map(str, path), fault]))
        if not self.errors and self._would_send_keys_of_projects_elsewhere():
            self.add_error("base_url", f"{_MOVES_OTHERS}.")
        return cleaned

    def _would_send_keys_of_projects_elsewhere(self) -> bool:
        name, base_url = self.cleaned_data["name"], self.cleaned_data["base_url"]
        if not UpstreamKey.objects.filter(upstream=name).exists():
            return False
        stored = Upstream.objects.filter(name=name).first()
        known = stored or upstream_config.configured().upstreams.get(name)
        return known is None or _is_elsewhere(known.base_url, base_url)

    def save(self, commit: bool = True) -> Upstream:
        if self.cleaned_data["remove_api_key"]:
            self.instance.api_key = None
        if key := self.cleaned_data["new_api_key"]:
            self.instance.api_key = Sealed.of(key)
        return super().save(commit)


class UpstreamKeyForm(_SecretForm):
    class Meta:
        model = UpstreamKey
        fields = ["project", "upstream"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance._state.adding and not cleaned.get("new_api_key") and not self.errors:
            self.add_error("new_api_key", "This field is required.")
        return cleaned

    def would_send_elsewhere(self) -> bool:
        is_stored = not self.instance._state.adding
        return is_stored and bool({"project", "upstream"} & set(self.changed_data))

    def save(self, commit: bool = True) -> UpstreamKey:
        if key := self.cleaned_data["new_api_key"]:
            for name, value in UpstreamKey.columns_of(key).items():
                setattr(self.instance, name, value)
        return super().save(commit)
