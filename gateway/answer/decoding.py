"""Answers that come compressed though plain bytes were asked for: read for their usage."""

from core import codings
from core.codings import Undecodable, UnknownCoding
from core.egress.http_answer import Answer

_MAX_PIECE = 16 * 1024 * 1024
# What servers state of bytes that have no coding; clients take it for none, too.
_NO_CODINGS = frozenset({"", "identity", "none", "utf-8", "utf8"})


class Decoder(codings.Decoder):
    """Decodes an answer piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Return what the piece says. Raises Undecodable, also where that is far too much."""
        return super().feed(data, max_length=_MAX_PIECE)


def decoder_of(answer: Answer) -> Decoder | None:
    """Return what decodes the answer; None if it comes plain. Raises Undecodable."""
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
    """Return whether the answer comes plain, or in a coding that is known."""
    try:
        decoder_of(answer)
    except Undecodable:
        return False
    return True
