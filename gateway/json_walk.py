"""Walking through JSON values, of which a body may hold millions."""

from collections.abc import Iterable, Iterator
from typing import Any

_CONTAINERS = frozenset({dict, list})


def objects_in(*values: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in these values, however deep. Texts and numbers cost next to nothing."""
    stack = _containers(values)
    while stack:
        container = stack.pop()
        if isinstance(container, dict):
            yield container
            stack += _containers(container.values())
        else:
            stack += _containers(container)


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if type(value) in _CONTAINERS]
