"""Decode answers that are compressed although no coding was asked for, to read their usage."""

from collections.abc import Iterator

from core import codings
from core.codings import Undecodable, UnknownCoding
from core.egress.http_answer import Answer

_MAX_PIECE = 16 * 1024 * 1024
_PART = 64 * 1024  # bytes that the event loop decodes at once
# Codings that some servers state for plain bytes; clients ignore them, too.
_NO_CODINGS = frozenset({"", "identity", "none", "utf-8", "utf8"})


class Decoder(codings.Decoder):
    """Decodes an answer piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Return the decoded piece. Raises Undecodable, also for one that expands too far."""
        return super().feed(data, max_length=_MAX_PIECE)

    def short_parts(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded piece in parts, each of which takes less than a millisecond."""
        return self.parts(data, max_length=_MAX_PIECE, size=_PART)


def decoder_of(answer: Answer) -> Decoder | None:
    """Return the decoder of the answer; None for plain bytes. Raises Undecodable."""
    stated = [
        coding.strip().lower()
        for name, value in answer.headers
        if name.lower() == b"content-encoding"
        for coding in value.decode("latin-1").split(",")
    ]
    stated = [coding for coding in stated if coding not in _NO_CODINGS]
    if not stated:
        return None
    if len(stated) > 1:
        raise UnknownCoding(", ".join(stated))
    return Decoder(stated[0])


def is_decodable(answer: Answer) -> bool:
    """Return whether the answer is plain, or in a known coding."""
    try:
        decoder_of(answer)
    except Undecodable:
        return False
    return True
