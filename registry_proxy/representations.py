"""Response bodies with the validator of exactly these bytes."""

import hashlib
from typing import NamedTuple

_ONE_HOUR = "public, max-age=3600"
_IMMUTABLE = "public, max-age=31536000, immutable"


class Representation(NamedTuple):
    """A JSON body, its strong ETag (quoted), and its `Cache-Control`."""

    body: bytes
    etag: str
    cache_control: str

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of both a 200 and a 304."""
        return {"ETag": self.etag, "Cache-Control": self.cache_control}


def representation(body: bytes, *, immutable: bool = False) -> Representation:
    """Return the representation of a body; equal bytes have equal ETags on every server."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Representation(body, etag, _IMMUTABLE if immutable else _ONE_HOUR)
