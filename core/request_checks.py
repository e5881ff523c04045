"""Checks ahead of all endpoints: foreign hosts, bodies too large or in an unknown coding.

Source: docs/http-contract.md, section "Paths and bodies".
"""

import sys
from collections.abc import Mapping

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from core.codings import Decoder, TooLong, Undecodable, UnknownCoding
from core.errors import BodyTooLarge, DomainError


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

    Without the header, `host` is the address that received the request.
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
    # Not converted if longer than any limit.
    length = int(text) if len(text) < 20 else sys.maxsize
    if length > limit:
        raise BodyTooLarge(limit)
    return length


def check_body(headers: Mapping[str, str]) -> None:
    """Check the headers that describe the body.

    Raises BodyTooLarge, MalformedLength, UnsupportedCoding.
    """
    length = headers.get("Content-Length")
    body_length(length)
    if length or headers.get("Transfer-Encoding"):
        check_coding(headers.get("Content-Encoding"))


def check_coding(content_encoding: str | None) -> None:
    """Raise UnsupportedCoding for a content coding that `decode` does not know."""
    decode(b"", content_encoding)


def decode(body: bytes, content_encoding: str | None, *, limit: int | None = None) -> bytes:
    """Return a body without its content coding; `limit` is LLMRING_MAX_BODY_BYTES by default.

    Raises UnsupportedCoding, MalformedBody, and BodyTooLarge as soon as the decoded data
    exceeds the limit.
    """
    coding = (content_encoding or "").strip().lower()
    if coding in ("", "identity"):
        return body
    limit = settings.MAX_BODY_BYTES if limit is None else limit
    try:
        decoder = Decoder(coding)
        decoded = decoder.feed(body, max_length=limit)
    except UnknownCoding:
        raise UnsupportedCoding from None
    except TooLong:
        raise BodyTooLarge(limit) from None
    except Undecodable:
        raise MalformedBody(coding) from None
    if not decoder.is_at_end:
        raise MalformedBody(coding)
    return decoded
