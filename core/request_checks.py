"""What no endpoint should ever see: foreign hosts, bodies too large or in an unknown coding.

Source: docs/http-contract.md, section "Paths and bodies".
"""

import sys
import zlib
from collections.abc import Callable

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from core.errors import BodyTooLarge, DomainError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError


class ForeignHost(DomainError):
    status_code = 400
    code = "foreign_host"

    def __init__(self) -> None:
        super().__init__("The Host header names no host that this server answers for")


class UnsupportedCoding(DomainError):
    status_code = 415
    code = "unsupported_coding"
    headers = {"Accept-Encoding": "gzip, deflate, zstd"}

    def __init__(self) -> None:
        super().__init__("Content-Encoding must be gzip, deflate or zstd")


class MalformedBody(DomainError):
    status_code = 400
    code = "malformed_body"

    def __init__(self, coding: str) -> None:
        super().__init__(f"The body is not valid {coding}")


class MalformedLength(DomainError):
    status_code = 400
    code = "malformed_length"

    def __init__(self) -> None:
        super().__init__("Content-Length must be a number of bytes")


def check_host(host: str) -> None:
    """Raise ForeignHost unless LLMRING_ALLOWED_HOSTS has the request's `Host`.

    A request without one is for the address that it came to.
    """
    if "*" not in settings.ALLOWED_HOSTS:
        domain, _ = split_domain_port(host.lower())
        if not validate_host(domain, settings.ALLOWED_HOSTS):
            raise ForeignHost


def body_length(content_length: str | None, *, limit: int | None = None) -> int:
    """Return the length that a request announces; `limit` is LLMRING_MAX_BODY_BYTES by default.

    Raises BodyTooLarge, MalformedLength.
    """
    limit = settings.MAX_BODY_BYTES if limit is None else limit
    text = content_length or "0"
    if not (text.isascii() and text.isdigit()):
        raise MalformedLength
    # More digits than any limit has are not worth converting.
    length = int(text) if len(text) < 20 else sys.maxsize
    if length > limit:
        raise BodyTooLarge(limit)
    return length


def decode(body: bytes, content_encoding: str | None, *, limit: int | None = None) -> bytes:
    """Return a body without its content coding; `limit` is LLMRING_MAX_BODY_BYTES by default.

    Raises UnsupportedCoding, MalformedBody, and BodyTooLarge as soon as more than the
    limit comes out, however little went in.
    """
    coding = (content_encoding or "").strip().lower()
    match coding:
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            make = lambda: zlib.decompressobj(wbits=31)  # noqa: E731
        case "deflate":
            # Zlib's header by the standard; many senders leave it out.
            has_header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
            make = lambda: zlib.decompressobj(wbits=15 if has_header else -15)  # noqa: E731
        case "zstd":
            make = ZstdDecompressor
        case _:
            raise UnsupportedCoding
    try:
        return _decompress(body, make, settings.MAX_BODY_BYTES if limit is None else limit)
    except (zlib.error, ZstdError, EOFError):
        raise MalformedBody(coding) from None


def _decompress(body: bytes, make: Callable, limit: int) -> bytes:
    """Return all members (frames) of the body, one after the other."""
    parts, size = [], 0
    while body:
        decompressor = make()
        part = decompressor.decompress(body, limit - size + 1)
        parts.append(part)
        size += len(part)
        if size > limit:
            raise BodyTooLarge(limit)
        if not decompressor.eof:
            raise EOFError
        body = decompressor.unused_data
    return b"".join(parts)
