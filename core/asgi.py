"""What an ASGI application is called with. Source: the ASGI specification, version 3."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class DirectWriter(Protocol):
    """What our own server's `send` can do besides: write a piece of a body that has begun.

    A piece of a stream is not worth a turn of the event loop. While `can_write_now` is false,
    such as for a slow client, `send` has to be awaited.
    """

    @property
    def can_write_now(self) -> bool: ...
    def write_now(self, body: bytes) -> None: ...


class Headers(Mapping[str, str]):
    """Request headers by name in any case; repeated ones are joined, as WSGI does."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            known = self._values.get(name)
            self._values[name] = value if known is None else f"{known},{value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    # The inherited ones raise and catch for every header that is missing.
    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._values

    def __iter__(self):
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
