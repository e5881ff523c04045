"""The objects within a request's body, without walking through what cannot hold any."""

from collections.abc import Collection, Iterator
from typing import Any

_CONTAINERS = frozenset({dict, list})
# What a client describes or keeps for itself: JSON schemas, labels, the arguments of calls.
OWN_MEMBERS = frozenset(
    {
        "$defs",
        "arguments",
        "attributes",
        "definitions",
        "examples",
        "metadata",
        "properties",
        "tool_choice",
    }
)


def objects(
    body: dict[str, Any], *, skipped: frozenset[str] = frozenset()
) -> Iterator[dict[str, Any]]:
    """Return the body and the objects within it that the upstream acts on.

    What is in members of the names `skipped` is left out, too.
    """
    return objects_in(body, left_out=OWN_MEMBERS | skipped)


def objects_in(*values: Any, left_out: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """Yield all objects in these values, however deep, but for what members `left_out` hold."""
    stack = containers(values)
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            yield part
            part = [value for name, value in part.items() if name not in left_out]
        stack += containers(part)


def containers(values: Collection[Any]) -> list[Any]:
    """Return the objects and lists among values."""
    # A prompt may be millions of numbers: asking them all at once is ten times faster.
    if _CONTAINERS.isdisjoint(map(type, values)):
        return []
    return [value for value in values if type(value) in _CONTAINERS]
