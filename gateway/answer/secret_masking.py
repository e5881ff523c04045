"""An upstream's key where its errors quote it.

mask = StreamMask(secret, is_error=is_error_event)
forward = mask.feed(data)       # bytes that the client gets now
forward = mask.finish()
"""

import re
from collections.abc import Callable
from functools import lru_cache

from gateway.answer.event_stream import last_end, split

_MASK = b"***"
_MAX_OPEN = 64 * 1024  # of an event that has passed, to tell whether it is an error
_MAX_WAITING = 1024 * 1024  # of an event from the secret on, for its end
_LINE_ENDS = 3  # bytes that belong to the end of an event whose last one is still to come


def in_error(data: bytes, secret: str) -> bytes:
    """Return an error without the secret: some quote the key that they refuse."""
    plain = data.replace(secret.encode(), _MASK)
    # Writers of JSON may escape any character, as PHP does a slash and .NET a plus sign.
    return _spelled(secret).sub(_MASK, plain) if b"\\" in plain else plain


@lru_cache(maxsize=1024)
def _spelled(secret: str) -> re.Pattern[bytes]:
    """Return the pattern of a secret within a JSON text, however its characters are escaped."""
    return re.compile(
        b"".join(
            rb"(?:\\?%s|\\u%s)" % (re.escape(character.encode()), rb"(?i:%04x)" % ord(character))
            for character in secret
        )
    )


class StreamMask:
    """Replaces a secret in the errors of a stream, and passes everything else at once.

    What may be the secret waits for its end, and the secret for the end of its event, which
    says whether it is an error. It is taken for one if that does not come in time.
    """

    def __init__(self, secret: str, *, is_error: Callable[[bytes], bool]) -> None:
        self._secret = secret.encode()
        self._is_error = is_error
        self._open = bytearray()  # the event that has not ended
        self._passed = 0  # how much of it the client has already
        self._is_cut = False  # its beginning is gone: nobody can tell what it is

    def feed(self, data: bytes) -> bytes:
        if not self._open and data.endswith(b"\n\n") and self._secret not in data:
            return data  # the usual case: whole events
        searched = max(len(self._open) - _LINE_ENDS, 0)
        self._open += data
        end = last_end(self._open, searched)
        return (self._ended(end) if end else b"") + self._released()

    def finish(self) -> bytes:
        return self._ended(len(self._open))

    def _ended(self, end: int) -> bytes:
        """Return what the client lacks of the events up to this end."""
        whole = bytes(self._open[:end])
        del self._open[:end]
        if self._secret in whole:
            first, *others = split(whole)
            first = self._masked(first, is_cut=self._is_cut)
            whole = b"".join([first, *map(self._masked, others)])
        # Nothing of the secret has passed: up to there no byte was replaced.
        forward, self._passed, self._is_cut = whole[self._passed :], 0, False
        return forward

    def _masked(self, event: bytes, *, is_cut: bool = False) -> bytes:
        is_error = is_cut or self._is_error(event)
        return event.replace(self._secret, _MASK) if is_error else event

    def _released(self) -> bytes:
        """Return what the client may have of the event that has not ended."""
        until = self._open.find(self._secret, self._passed)
        if 0 <= until < len(self._open) - _MAX_WAITING:
            self._is_cut = True
        if until < 0 or self._is_cut:
            until = len(self._open) - self._begun()
        forward, self._passed = bytes(self._open[self._passed : until]), until
        if self._is_cut or self._passed > _MAX_OPEN:
            kept = min(_LINE_ENDS, self._passed)
            del self._open[: self._passed - kept]
            self._passed, self._is_cut = kept, True
        return forward.replace(self._secret, _MASK)

    def _begun(self) -> int:
        """Return how many bytes at the end may be the beginning of the secret."""
        start = max(self._passed, len(self._open) - len(self._secret) + 1)
        while (start := self._open.find(self._secret[:1], start)) >= 0:
            if self._secret.startswith(self._open[start:]):
                return len(self._open) - start
            start += 1
        return 0
