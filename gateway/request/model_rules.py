"""Which models a request asks for, and whether its token may use them.

What cannot be checked does not pass for a token with a list of models: whatever has the
name of a model is one, wherever it stands and in whatever case it is written (servers
written in Go take names in any case).
Source: docs/gateway.md, section "What cannot be checked".
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

from gateway import errors
from gateway.request.json_objects import objects

# Also `image_model`, and OpenRouter's and LiteLLM's `models` and `fallback_models`. Others call
# it by its id or name, as `modelId` and `model_name`.
_ENDINGS = (
    *("model", "models", "fallback", "fallbacks", "fallback_dict"),
    *("model_id", "modelid", "model_ids", "model_name", "modelname", "model_names"),
    *("deployment", "deployment_id", "deployment_name"),
)
# OpenRouter keeps models and their fallbacks under such a name.
PRESET = "preset"
# Texts, what calls returned, the values of a stored prompt, and what an answer stated.
_TEXTS = frozenset({"content", "output", "svg_usage", "variables"})
# To some servers `model[]`, `model.x` and `svg[model]` are members of a form.
_SEGMENTS = re.compile(r"[\[\].]+")


def named_in_body(body: dict[str, Any]) -> Iterator[Any]:
    """Yield what a JSON body names as models.

    Raises ModelNotAllowed for a tool whose model the upstream would choose, and for a preset,
    which has models of its own.
    """
    for part in objects(body, skipped=_TEXTS):
        if part.get(PRESET):
            raise errors.ModelNotAllowed("The models of a preset cannot be checked", param=PRESET)
        kind = part.get("type")
        if isinstance(kind, str) and kind.endswith("image_generation") and not part.get("model"):
            raise errors.ModelNotAllowed(f"The tool {kind[:64]!r} names no model", param="tools")
        for name, value in part.items():
            if _is_of_model(name):
                yield from _entries(value)


def _entries(value: Any) -> Iterator[Any]:
    for entry in value if isinstance(value, list) else [value]:
        if entry is None or isinstance(entry, bool):
            continue  # it switches something, as OpenRouter's `allow_fallbacks` does
        # An object that names a model itself is among the objects of the body.
        if not _names_one(entry):
            yield entry


def alternatives(params: Mapping[str, Any], known: Collection[str]) -> Iterator[Any]:
    """Yield the models that parameters of a call name beside `model`, such as its fallbacks.

    Parameters that are `known` are checked by themselves.
    """
    for name, value in params.items():
        if name not in known and _is_of_model(name):
            for entry in value if isinstance(value, list) else [value]:
                yield from _entries(entry["model"] if _names_one(entry) else entry)


def _names_one(entry: Any) -> bool:
    return isinstance(entry, dict) and "model" in entry


def named_in_form(fields: Mapping[str, list[str]]) -> list[str]:
    """Return the models that the fields of a form name."""
    return [value for name in fields if is_field_of_model(name) for value in fields[name]]


def named_in_query(query_string: str) -> list[str]:
    """Return the models that a query names, to servers that separate by `;` as well."""
    return [
        value
        for separator in "&;"
        for name, value in parse_qsl(query_string, keep_blank_values=True, separator=separator)
        if is_field_of_model(name)
    ]


def is_field_of_model(name: str) -> bool:
    """Return whether a field of a form or a query names a model."""
    return any(map(_is_of_model, _SEGMENTS.split(name)))


def _is_of_model(name: str) -> bool:
    # To servers that keep texts as C does, a name ends at a null character.
    return name.partition("\0")[0].strip().casefold().replace("-", "_").endswith(_ENDINGS)


def check(model: Any, allowed: Sequence[str], *, upstream: str) -> None:
    """Raise ModelNotAllowed unless a pattern covers the model, which this upstream gets."""
    if isinstance(model, str) and is_allowed(model, allowed, upstream=upstream):
        return
    shown = model[:200] if isinstance(model, str) else "of that form"
    raise errors.ModelNotAllowed(f"The token may not use the model {shown!r}")


def is_allowed(model: str, allowed: Sequence[str] | None, *, upstream: str) -> bool:
    """Return whether a token with this list may use a model of an upstream.

    A pattern may begin with the upstream's name: `groq:llama-*`.
    """
    return allowed is None or any(_covers(pattern, model, upstream) for pattern in allowed)


def _covers(pattern: str, model: str, upstream: str) -> bool:
    if fnmatchcase(model, pattern):
        return True
    # Each part by itself: `o*` must not cover all of `openai:`.
    prefix, separator, rest = pattern.partition(":")
    return bool(separator) and fnmatchcase(upstream, prefix) and fnmatchcase(model, rest)
