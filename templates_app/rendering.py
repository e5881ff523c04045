"""Filling a template's texts: `{{name}}` becomes the value of the variable `name`.

There is nothing else: no logic, no expressions. Every text is scanned once, so a
value that looks like a placeholder stays as it is. Names that the template does
not declare are ordinary text.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from core import json_writer

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class TooLong(ValueError):
    """The filled texts together would be longer than allowed."""


def text_of(value: str | int | float | Decimal | bool) -> str:
    """Return the value as text: booleans as in JSON, numbers without exponents."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return json_writer.plain(value) if isinstance(value, Decimal) else str(value)


def render(content: object, values: Mapping[str, str], *, max_length: int) -> object:
    """Return `content` with every string in it filled, names of members excepted.

    Raises TooLong when the strings together would have more than `max_length`
    characters, before any of them is made.
    """
    if sum(_length(text, values) for text in strings(content)) > max_length:
        raise TooLong
    return _fill(content, values)


def _fill(content: object, values: Mapping[str, str]) -> object:
    if isinstance(content, str):
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), content)
    if isinstance(content, list):
        return [_fill(item, values) for item in content]
    if isinstance(content, dict):
        return {name: _fill(inner, values) for name, inner in content.items()}
    return content


def names_in(text: str) -> list[str]:
    """Return the names of the placeholders in a text."""
    return _PLACEHOLDER.findall(text)


def strings(content: object) -> Iterator[str]:
    """Yield every text of a JSON value, names of members excepted."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list | dict):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from strings(inner)


def _length(text: str, values: Mapping[str, str]) -> int:
    return len(text) + sum(len(values.get(name, "")) for name in names_in(text))
