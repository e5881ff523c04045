"""The head of a response as bytes, and how its body is framed (RFC 9112)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

RawHeaders = Iterable[tuple[bytes, bytes]]

_NO_TOKEN = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")  # RFC 9110, section 5.6.2
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_CLOSE = b"connection: close\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"


@dataclass(slots=True)
class ResponseHead:
    """`length` is None where chunks or the connection's end mark the end of the body."""

    data: bytes
    has_body: bool
    length: int | None
    is_chunked: bool
    keeps_alive: bool


def response_head(
    status: int,
    headers: RawHeaders,
    *,
    may_have_body: bool,
    may_be_chunked: bool,
    keeps_alive: bool,
) -> ResponseHead:
    """Return the head of a response.

    `may_have_body` is false for HEAD, `may_be_chunked` for HTTP/1.0: there, a body without
    a stated length lasts to the end of the connection, which is never kept alive. Raises
    ValueError for a header that would corrupt the message.
    """
    length: int | None = None
    says_close = False
    lines = [_status_line(status)]
    values = []
    for name, value in headers:
        prefix = _line_prefix(name)
        if prefix == b"content-length: ":
            length = int(value)
        elif prefix == b"connection: ":
            says_close = b"close" in value.lower()
        lines += (prefix, value, b"\r\n")
        values.append(value)
    if _NO_VALUE.search(b"".join(values)):
        raise ValueError("a header's value has a control character")
    has_body = may_have_body and status not in (204, 304)
    is_chunked = has_body and length is None and may_be_chunked
    if is_chunked:
        lines.append(_CHUNKED)
    if not keeps_alive and not says_close:
        lines.append(_CLOSE)
    lines.append(b"\r\n")
    return ResponseHead(
        b"".join(lines),
        has_body=has_body,
        length=length,
        is_chunked=is_chunked,
        keeps_alive=keeps_alive and not says_close,
    )


@lru_cache(maxsize=1024)
def _line_prefix(name: bytes) -> bytes:
    """Return a header's line up to its value. Raises ValueError for an invalid name."""
    if not name or _NO_TOKEN.search(name):
        raise ValueError(f"{name!r} is not a header name")
    return name.lower() + b": "


@lru_cache(maxsize=512)
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
