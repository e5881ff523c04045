"""Ids in paths."""

from uuid import UUID

from core.errors import InvalidInput, issue


def uuid_in_path(text: str, name: str) -> UUID:
    """Return the id in the path's part called `name`. Raises InvalidInput (`uuid_parsing`)."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(
            [issue("uuid_parsing", ["path", name], "Input should be a valid UUID", text)]
        ) from None
