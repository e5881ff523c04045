"""Parts of a path that stand for something, read as the contract wants them."""

from uuid import UUID

from core.errors import InvalidInput, issue


def uuid_in_path(text: str, name: str) -> UUID:
    """The id in a path's part called `name`. Raises InvalidInput (`uuid_parsing`)."""
    try:
        return UUID(text)
    except ValueError:
        found = issue("uuid_parsing", ["path", name], "Input should be a valid UUID", text)
        raise InvalidInput([found]) from None
