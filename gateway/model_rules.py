"""Which models a request asks for, and whether its token may use them.

What cannot be checked does not pass for a token with a list of models: models in places
that we do not know, members that servers read in another way, bodies with two of a name.
Source: docs/gateway.md, section "Tokens".
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

from gateway import errors

# Members that name further models: of OpenRouter, LiteLLM and Anthropic's fallbacks.
_LISTS = ("models", "fallbacks", "fallback_models")
_READ_MEMBERS = ("model", *_LISTS, "route", "tools", "prompt")


def named_in_body(body: dict[str, Any]) -> Iterator[Any]:
    """Yield what the body names as further models, beside `model`."""
    for name in _LISTS:
        value = body.get(name)
        entries = value if isinstance(value, list) else [value] if value is not None else []
        for entry in entries:
            yield entry.get("model") if isinstance(entry, dict) else entry
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and "model" in tool:
            yield tool["model"]


def named_in_query(query_string: str) -> list[str]:
    """Return the models that a query names."""
    return [
        value
        for name, value in parse_qsl(query_string, keep_blank_values=True)
        if name.casefold() == "model"
    ]


def check_names(body: dict[str, Any]) -> None:
    """Raise ModelNotAllowed for members that some servers take for those that we read.

    Servers written in Go take the names of members in any case.
    """
    for name in body:
        if name not in _READ_MEMBERS and name.casefold() in _READ_MEMBERS:
            raise errors.ModelNotAllowed(f"The member {name!r} is ambiguous", param=name[:64])


def check(model: Any, allowed: Sequence[str], *spellings: str) -> None:
    """Raise ModelNotAllowed unless a pattern covers the model, or one of its other spellings."""
    if isinstance(model, str) and any(
        fnmatchcase(spelling, pattern) for pattern in allowed for spelling in (model, *spellings)
    ):
        return
    shown = model[:200] if isinstance(model, str) else "of that form"
    raise errors.ModelNotAllowed(f"The token may not use the model {shown!r}")


def is_allowed(model: str, allowed: Sequence[str] | None) -> bool:
    """Return whether a token with this list may use a model."""
    return allowed is None or any(fnmatchcase(model, pattern) for pattern in allowed)
