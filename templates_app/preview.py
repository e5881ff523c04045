"""A template filled with values, and what is wrong with it. Nothing is stored or sent."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from templates_app import rendering
from templates_app.models import ConversationTemplate

_OPEN = re.compile(r"\{\{[^{}]*+(?:\}(?!\})|(?![^{}]*\})|$)")


@dataclass(frozen=True, slots=True)
class Preview:
    """The filled texts, the variables without a value, and placeholders that are not filled."""

    rendered: dict[str, Any]
    missing: list[str]
    undeclared: list[str]
    unclosed: list[str]


def preview(template: ConversationTemplate, values: Mapping[str, str]) -> Preview:
    """Return the template filled with the values, else its defaults. Raises rendering.TooLong.

    A variable without either stays as its placeholder.
    """
    stated = {name: value for name, value in values.items() if value != ""}
    known = {**template.variables, **stated}
    texts = {name: rendering.text_of(value) for name, value in known.items() if value is not None}
    strings = list(rendering.strings(template.prompt))
    places = [name for text in strings for name in rendering.names_in(text)]
    return Preview(
        template.render_texts(texts),
        missing=[name for name in template.variables if name not in texts],
        undeclared=sorted(set(places) - template.variables.keys()),
        unclosed=list(_unclosed(strings)),
    )


def _unclosed(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for match in _OPEN.finditer(text):
            yield text[match.start() : match.start() + 40]
