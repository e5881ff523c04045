"""Serializers whose failures are the contract's 422 entries.

Source: docs/http-contract.md, section "Errors".
"""

from collections.abc import Iterable

from django.db import models
from rest_framework import serializers
from rest_framework.settings import api_settings

from core import fields
from core.errors import InvalidInput, issue

# DRF's codes in the contract's words; what is not listed is passed on as it is.
_TYPES = {
    "required": "missing",
    "max_length": "string_too_long",
    "min_length": "string_too_short",
    "blank": "string_too_short",
    "null_characters_not_allowed": "null_character",
    "surrogate_characters_not_allowed": "surrogate_character",
    "min_value": "greater_than_equal",
    "max_value": "less_than_equal",
    "invalid_choice": "literal_error",
    "not_a_list": "list_type",
    "invalid": "value_error",
}
_MESSAGES = {
    "missing": "Field required",
    "string_too_long": "String should have at most {max_length} characters",
    "greater_than_equal": "Input should be greater than or equal to {ge}",
    "less_than_equal": "Input should be less than or equal to {le}",
    "string_pattern_mismatch": "String should match pattern '{pattern}'",
}
_CONTEXT = {
    "string_too_long": ("max_length", "max_length"),
    "string_too_short": ("min_length", "min_length"),
    "greater_than_equal": ("ge", "min_value"),
    "less_than_equal": ("le", "max_value"),
    "string_pattern_mismatch": ("pattern", "pattern"),
}


class InputMixin:
    """Raises InvalidInput, naming each member, where DRF raises a field map."""

    location = "body"

    @classmethod
    def many_init(cls, *args, allow_null=False, **kwargs):
        """A list that may be null has no null items for that, as DRF would have it."""
        many = super().many_init(*args, **kwargs)
        many.allow_null = many._kwargs["allow_null"] = allow_null  # copies are made from _kwargs
        return many

    def is_valid(self, *, raise_exception=False):
        if raise_exception and self._body_is_missing():
            raise InvalidInput([issue("missing", [self.location], "Field required", None)])
        valid = super().is_valid(raise_exception=False)
        if raise_exception and not valid:
            raise InvalidInput(
                list(self._issues(self, self.errors, [self.location], self.initial_data))
            )
        return valid

    def _body_is_missing(self) -> bool:
        """DRF takes an empty body for an empty object."""
        request = self.context.get("request")
        return (
            self.location == "body"
            and self.initial_data == {}
            and request is not None
            and not int(request.META.get("CONTENT_LENGTH") or 0)
        )

    def _issues(self, field, errors, loc, data):
        if isinstance(errors, dict):
            for name, inner in errors.items():
                yield from self._issues_inside(field, name, inner, loc, data)
            return
        for error in [errors] if isinstance(errors, str) else errors:
            if isinstance(error, (dict, list)):  # items of a list field, by position
                yield from self._issues(field, error, loc, data)
            else:
                yield _issue(field, error, loc, data)

    def _issues_inside(self, field, name, errors, loc, data):
        if name == api_settings.NON_FIELD_ERRORS_KEY:
            for error in errors:
                yield _issue(field, error, loc, data)
        elif isinstance(name, int) or isinstance(field, serializers.ListSerializer):
            inside = data[name] if isinstance(data, list) and name < len(data) else None
            yield from self._issues(getattr(field, "child", field), errors, [*loc, name], inside)
        else:
            inner = getattr(field, "fields", {}).get(name)
            inside = data.get(name, data) if isinstance(data, dict) else data
            yield from self._issues(inner, errors, [*loc, name], inside)


def _issue(field, error, loc, data) -> dict:
    type = _TYPES.get(error.code, error.code)
    if isinstance(field, serializers.ListSerializer) and type != "missing":
        return _list_issue(field, type, loc, data)
    if isinstance(field, serializers.BaseSerializer) and not isinstance(data, dict):
        type = "model_attributes_type"
        return issue(type, loc, "Input should be a valid dictionary or object", data)
    if type == "null":
        type = getattr(field, "null_code", "value_error")
        return issue(type, loc, _message_of_null(field, type), None)
    context = {}
    if type in _CONTEXT:
        name, attribute = _CONTEXT[type]
        limit = getattr(field, attribute, None)
        if limit is not None:
            context = {name: limit}
    message = _MESSAGES[type].format(**context) if context or type == "missing" else str(error)
    return issue(type, loc, message, data, **context)


def _list_issue(field, type, loc, data) -> dict:
    if type == "string_too_long":
        most = field.max_length
        message = f"List should have at most {most} items"
        return issue("too_long", loc, message, None, max_length=most, actual_length=len(data))
    return issue("list_type", loc, "Input should be a valid list", data)


def _message_of_null(field, type: str) -> str:
    return str(getattr(field, "error_messages", {}).get(type, "Input should not be null"))


class Serializer(InputMixin, serializers.Serializer):
    pass


class ModelSerializer(InputMixin, serializers.ModelSerializer):
    """A model serializer whose fields have the contract's leniency."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: fields.TextField,
        models.TextField: fields.TextField,
        models.IntegerField: fields.IntegerField,
        models.PositiveIntegerField: fields.IntegerField,
        models.BigIntegerField: fields.IntegerField,
        models.BooleanField: fields.BooleanField,
        models.FloatField: fields.NumberField,
        models.UUIDField: fields.UUIDField,
        models.DateTimeField: fields.DateTimeField,
        models.JSONField: fields.JSONField,
    }


class QuerySerializer(Serializer):
    """Query parameters. An empty value means that the parameter was not given."""

    location = "query"

    @classmethod
    def read(cls, request) -> dict:
        """The validated parameters of `request`; raises InvalidInput."""
        return cls.parse(request.query_params.items())

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]]) -> dict:
        """The validated parameters; raises InvalidInput."""
        serializer = cls(data={name: value for name, value in parameters if value != ""})
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data
