"""Answers that come compressed though plain bytes were asked for: read for their usage."""

from core import codings

_MAX_PIECE = 16 * 1024 * 1024


class Decoder(codings.Decoder):
    """Decodes an answer piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Return what the piece says. Raises Undecodable, also where that is far too much."""
        return super().feed(data, max_length=_MAX_PIECE)
