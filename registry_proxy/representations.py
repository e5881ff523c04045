"""Bytes to send, with the validator that belongs to exactly these bytes."""

import hashlib
from typing import NamedTuple

from django.utils.http import parse_etags

_AN_HOUR = "public, max-age=3600"
_FOR_GOOD = "public, max-age=31536000, immutable"


class Representation(NamedTuple):
    """A JSON body, its strong ETag with the quotes, and how long caches may keep it."""

    body: bytes
    etag: str
    cache_control: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a 200 and of a 304 alike."""
        return {"ETag": self.etag, "Cache-Control": self.cache_control}

    def is_known_to(self, if_none_match: str) -> bool:
        """Whether a client that sent this `If-None-Match` has these bytes (RFC 9110, 13.1.2)."""
        tags = parse_etags(if_none_match)
        return "*" in tags or self.etag in (tag.removeprefix("W/") for tag in tags)


def representation(body: bytes, *, immutable: bool = False) -> Representation:
    """The representation of a body; equal bytes have equal ETags, whoever serves them."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Representation(body, etag, _FOR_GOOD if immutable else _AN_HOUR)
