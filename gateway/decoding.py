"""Answers that come compressed though plain bytes were asked for: read for their usage.

Source: RFC 9110, section 8.4.1.
"""

import sys
import zlib
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

_MAX_PIECE = 16 * 1024 * 1024


class Undecodable(Exception):
    """The coding is unknown, or the bytes are not of it."""


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Decoder:
    """Decodes an answer piece by piece. Raises Undecodable for a coding that it does not know."""

    def __init__(self, coding: str) -> None:
        self._decompressor: _Decompressor
        match coding.strip().lower():
            case "gzip" | "x-gzip":
                self._decompressor = zlib.decompressobj(wbits=31)
            case "deflate":
                self._decompressor = zlib.decompressobj()
            case "zstd":
                self._decompressor = ZstdDecompressor()
            case _:
                raise Undecodable(coding)

    def feed(self, data: bytes) -> bytes:
        """Return what the piece says. Raises Undecodable."""
        try:
            return self._decompressor.decompress(data, _MAX_PIECE)
        except (zlib.error, ZstdError, EOFError) as error:
            raise Undecodable(str(error)) from error
