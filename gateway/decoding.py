"""Answers that come compressed though plain bytes were asked for: read for their usage.

Source: RFC 9110, section 8.4.1.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

_MAX_PIECE = 16 * 1024 * 1024


class Undecodable(Exception):
    """The coding is unknown, or the bytes are not of it."""


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Decoder:
    """Decodes an answer piece by piece. Raises Undecodable for a coding that it does not know."""

    def __init__(self, coding: str) -> None:
        self._make: Callable[[], _Decompressor]
        match coding.strip().lower():
            case "gzip" | "x-gzip":
                self._make = lambda: zlib.decompressobj(wbits=31)
            case "deflate":
                self._make = zlib.decompressobj
            case "zstd":
                self._make = ZstdDecompressor
            case _:
                raise Undecodable(coding)
        self._decompressor = self._make()

    def feed(self, data: bytes) -> bytes:
        """Return what the piece says. Raises Undecodable, also where that is far too much."""
        parts, left = [], _MAX_PIECE
        while data:
            if self._decompressor.eof:  # servers may write one member (frame) after the other
                self._decompressor = self._make()
            try:
                part = self._decompressor.decompress(data, left + 1)
            except (zlib.error, ZstdError, EOFError) as error:
                raise Undecodable(str(error)) from error
            left -= len(part)
            if left < 0:
                raise Undecodable("more comes out than is read")
            parts.append(part)
            data = self._decompressor.unused_data
        return b"".join(parts)
