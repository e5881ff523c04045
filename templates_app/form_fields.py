"""Form fields for a template's messages and variables: rows to fill in, instead of JSON.

Members without an input of their own (those that a provider adds, parts of a content) stay
in the row as JSON, and are saved unchanged.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from core import json_writer
from core.chat_messages import ROLES
from core.json_columns import StrictDecoder

_BLANK_ROWS = 1  # at the end, for browsers without scripts
TEXT, PARTS = "text", "json"
# What a variable's default is.
KINDS = {"text": "text", "number": "number", "truth": "true or false", "required": "must be given"}


class RowsWidget(forms.Widget):
    """Inputs of several rows; each input is named by the field and its column."""

    columns: tuple[str, ...]

    def value_from_datadict(self, data, files, name) -> list[dict[str, str]]:
        cells = {column: data.getlist(f"{name}-{column}") for column in self.columns}
        length = max(map(len, cells.values()))
        return [
            {column: (cells[column][n : n + 1] or [""])[0] for column in self.columns}
            for n in range(length)
        ]

    def value_omitted_from_data(self, data, files, name) -> bool:
        return f"{name}-{self.columns[0]}" not in data

    def rows(self, value: Any) -> list[dict[str, str]]:
        raise NotImplementedError

    def get_context(self, name, value, attrs):
        context = super().get_context(name, value, attrs)
        blank = dict.fromkeys(self.columns, "")
        context["rows"] = [*self.rows(value), *(blank for _ in range(_BLANK_ROWS))]
        return context


class RowsField(forms.Field):
    """A field whose value is JSON, and whose inputs are rows."""

    def to_stored(self, rows: list[dict[str, str]]) -> Any:
        raise NotImplementedError

    def to_python(self, value: list[dict[str, str]]) -> Any:
        return self.to_stored(value)

    def has_changed(self, initial, data) -> bool:
        try:
            # As JSON: to Python, true and 1 are equal.
            stored = self.to_stored(data)
            return json_writer.dumps(stored, sort_keys=True) != json_writer.dumps(
                initial, sort_keys=True
            )
        except ValidationError:
            return True


class MessagesWidget(RowsWidget):
    template_name = "templates_app/messages_widget.html"
    columns = ("role", "content", "kind", "members")

    def rows(self, value):
        if value and "kind" in value[0] and "members" in value[0]:
            return [row for row in value if not _is_blank(row)]  # as it was sent
        return [_message_row(message) for message in value or ()]

    def get_context(self, name, value, attrs):
        return {**super().get_context(name, value, attrs), "roles": ROLES}


def _is_blank(row: dict[str, str]) -> bool:
    return not row["content"].strip() and row["members"].strip() in ("", "{}")


def _message_row(message: dict[str, Any]) -> dict[str, str]:
    members = {name: value for name, value in message.items() if name not in ("role", "content")}
    content = message.get("content")
    is_text = content is None or isinstance(content, str)
    return {
        "role": message["role"],
        "content": (content or "") if is_text else _json(content),
        "kind": TEXT if is_text else PARTS,
        "members": _json(members) if members else "",
    }


class MessagesField(RowsField):
    widget = MessagesWidget

    def to_stored(self, rows):
        return [_message(row) for row in rows or () if not _is_blank(row)]


def _message(row: dict[str, str]) -> dict[str, Any]:
    members = _parsed(row["members"] or "{}")
    if not isinstance(members, dict):
        raise ValidationError("Additional members of a message must be a JSON object.")
    text = row["content"].replace("\r\n", "\n")
    content = _parsed(text) if row["kind"] == PARTS else text
    if content == "" and members:
        content = None  # of an answer that only calls tools
    return {"role": row["role"], "content": content, **members}


class VariablesWidget(RowsWidget):
    template_name = "templates_app/variables_widget.html"
    columns = ("name", "kind", "default")

    def rows(self, value):
        if isinstance(value, list):
            return [row for row in value if row["name"].strip()]
        return [_variable_row(name, default) for name, default in (value or {}).items()]

    def get_context(self, name, value, attrs):
        return {**super().get_context(name, value, attrs), "kinds": KINDS.items()}


def _variable_row(name: str, default: Any) -> dict[str, str]:
    kinds = {bool: "truth", int: "number", float: "number", Decimal: "number", str: "text"}
    kind = kinds.get(type(default), "required")
    text = default if isinstance(default, str) else "" if default is None else _json(default)
    return {"name": name, "kind": kind, "default": text}


class VariablesField(RowsField):
    widget = VariablesWidget

    def to_stored(self, rows):
        named = [(row["name"].strip(), row) for row in rows or () if row["name"].strip()]
        names = [name for name, _ in named]
        if len(set(names)) < len(names):
            raise ValidationError("Two variables have the same name.")
        return {name: _default(row) for name, row in named}


def _default(row: dict[str, str]) -> Any:
    text = row["default"].replace("\r\n", "\n")
    match row["kind"]:
        case "required":
            return None
        case "truth":
            return text.strip().casefold() in ("true", "yes", "1")
        case "number":
            return _number(text.strip())
    return text


def _number(text: str) -> Any:
    try:
        Decimal(text)
        return _parsed(text)
    except (InvalidOperation, ValidationError):
        raise ValidationError(f"{text[:50]!r} is not a number.") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, cls=StrictDecoder)
    except ValueError:
        raise ValidationError(f"{text[:50]!r} is not JSON.") from None


def _json(value: Any) -> str:
    return json_writer.dumps(value).decode()
