"""Parse server-sent events as they arrive (HTML Living Standard, 9.2)."""

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mcp.client.mcp_errors import ProtocolViolation

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the last event ID of the stream so far; `retry` is in milliseconds."""

    type: str
    data: bytes
    id: str = ""
    retry: int | None = None


def read_events(pieces: Iterable[bytes], *, limit: int) -> Iterator[Event]:
    """Yield the complete events of a stream, also those without data: they may carry an id.

    Raises ProtocolViolation for an event or a line longer than `limit` bytes.
    """
    kind, data, last_id, retry, is_empty, size = "", [], "", None, True, 0
    for line in _lines(pieces, limit):
        if not line:
            if not is_empty:
                yield Event(kind or "message", b"\n".join(data), last_id, retry)
            kind, data, retry, is_empty, size = "", [], None, True, 0
            continue
        size += len(line)
        if size > limit:
            raise ProtocolViolation(f"The MCP server's event is longer than {limit} bytes")
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                kind = value.decode(errors="replace")
            case b"data":
                data.append(value)
            case b"id" if b"\x00" not in value:
                last_id = value.decode("latin-1")
            case b"retry" if value.isdigit() and len(value) < 10:
                retry = int(value)
            case _:
                continue
        is_empty = False


def _lines(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    pending: list[bytes] = []  # pieces of an incomplete line
    size = 0
    after_return = False
    is_first = True
    for piece in pieces:
        if is_first:
            piece, is_first = piece.removeprefix(BOM_UTF8), False
        if after_return and piece.startswith(b"\n"):
            piece = piece[1:]  # the second half of a CRLF
        after_return = piece.endswith(b"\r")
        *complete, rest = _LINE_END.split(piece)
        for line in complete:
            yield b"".join([*pending, line])
            pending, size = [], 0
        pending.append(rest)
        size += len(rest)
        if size > limit:
            raise ProtocolViolation(f"The MCP server's line is longer than {limit} bytes")
