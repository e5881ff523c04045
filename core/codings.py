"""Decoding the content codings of requests and responses: gzip, deflate, zstd.

Source: RFC 9110, section 8.4.1.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

# Bytes. zlib copies whatever follows the end of a member, for each member.
_BLOCK = 64 * 1024
# Members (frames) in the data of one call.
_MAX_MEMBERS = 1_000


class Undecodable(ValueError):
    """The coding is unknown, or the bytes are not valid in it."""


class UnknownCoding(Undecodable):
    """The coding is not one of those above."""


class TooLong(Undecodable):
    """The decoded data is longer than the limit."""


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Decoder:
    """Decodes data of one coding incrementally. Raises UnknownCoding."""

    def __init__(self, coding: str) -> None:
        self._coding = coding.strip().lower()
        if self._coding not in _DECOMPRESSORS:
            raise UnknownCoding(coding)
        self._member: _Decompressor | None = None

    @property
    def is_at_end(self) -> bool:
        """Whether no member is unfinished."""
        return self._member is None or self._member.eof

    def feed(self, data: bytes, *, max_length: int) -> bytes:
        """Return what `data` decodes to. Raises TooLong beyond `max_length` bytes, Undecodable."""
        return b"".join(self.parts(data, max_length=max_length, size=max_length + 1))

    def parts(self, data: bytes, *, max_length: int, size: int) -> Iterator[bytes]:
        """Yield what `data` decodes to, at most `size` bytes at a time. Raises what `feed` does.

        All of it must be taken before more data is fed.
        """
        members = 0
        for start in range(0, len(data), _BLOCK):
            block, is_cut = data[start : start + _BLOCK], False
            while block or is_cut:
                if self.is_at_end:
                    if not block:
                        break
                    members += 1
                    self._begin_member(block, members)
                part = self._decompress(block, size)
                max_length -= len(part)
                if max_length < 0:
                    raise TooLong("more comes out than is read")
                yield part
                block, is_cut = self._left(), len(part) == size

    def _left(self) -> bytes:
        """Return what is to be fed again: the next member, or what zlib has not taken yet."""
        return self._member.unused_data or getattr(self._member, "unconsumed_tail", b"")

    def _begin_member(self, data: bytes, count: int) -> None:
        if count > _MAX_MEMBERS:
            raise Undecodable("too many members")
        if self._member is not None and self._coding == "deflate":
            raise Undecodable("bytes after the end")  # it has no members
        self._member = _DECOMPRESSORS[self._coding](data)

    def _decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._member.decompress(data, max_length)
        except (zlib.error, ZstdError, EOFError) as error:
            raise Undecodable(str(error)) from error


def _gzip(data: bytes) -> _Decompressor:
    return zlib.decompressobj(wbits=31)


def _deflate(data: bytes) -> _Decompressor:
    # Zlib's header by the standard; many senders leave it out. It begins with an 8, and
    # deflate itself would only if an encoder left garbage in the padding of a stored block.
    return zlib.decompressobj(wbits=15 if data[0] & 15 == 8 else -15)


def _zstd(data: bytes) -> _Decompressor:
    return ZstdDecompressor()


# Each makes what decodes a member that begins with `data`.
_DECOMPRESSORS: dict[str, Callable[[bytes], _Decompressor]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
