"""Refusing JSON objects with repeated members. Without Django, for `llmring-verify`."""

from typing import Any


class RepeatedMember(ValueError):
    """A name occurs twice in an object, so that readers may differ on its value."""

    def __init__(self, name: str) -> None:
        super().__init__(f'The member "{name[:50]}" occurs twice')


def unique_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these members, as `object_pairs_hook`. Raises RepeatedMember."""
    unique = dict(members)
    if len(unique) != len(members):
        raise RepeatedMember(_first_repeated(members))
    return unique


def _first_repeated(members: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            break
        seen.add(name)
    return name
