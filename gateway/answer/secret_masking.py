"""Mask an upstream's key in errors that quote it.

mask = StreamMask(secret, is_error=is_error_event)
forward = mask.feed(data)       # bytes that the client gets now
forward = mask.finish()
"""

from collections.abc import Callable

from gateway.answer.event_stream import last_end, split
from gateway.answer.secret_matcher import matcher_of

_MAX_OPEN = 64 * 1024  # of an event that has passed, to tell whether it is an error
_MAX_WAITING = 1024 * 1024  # of an event from the secret on, for its end
_LINE_ENDS = 3  # bytes that belong to the end of an event whose last one is still to come


def in_error(data: bytes, secret: str) -> bytes:
    """Return an error without the secret: some quote the key that they refuse."""
    return matcher_of(secret).masked(data)


class StreamMask:
    """Replaces a secret in the errors of a stream, and passes everything else at once.

    A possible beginning of the secret is held until it is complete or something else, and the
    secret until its event ends, which shows whether that is an error. An event that is too long
    counts as one.
    """

    def __init__(self, secret: str, *, is_error: Callable[[bytes], bool]) -> None:
        self._secret = matcher_of(secret)
        self._is_error = is_error
        self._open = bytearray()  # the event that has not ended
        self._passed = 0  # how much of it the client already has
        self._is_cut = False  # its beginning has been dropped, so its type is unknown

    @property
    def waiting(self) -> int:
        """The bytes that wait for the end of an event with the secret, and are searched again."""
        return len(self._open) - self._passed

    def feed(self, data: bytes) -> bytes:
        if not self._open and data.endswith(b"\n\n") and not self._is_quoted(data):
            return data  # the usual case: whole events
        searched = max(len(self._open) - _LINE_ENDS, 0)
        self._open += data
        end = last_end(self._open, searched)
        return (self._ended(end) if end else b"") + self._released()

    def finish(self) -> bytes:
        return self._ended(len(self._open))

    def _ended(self, end: int) -> bytes:
        """Return what the client has not been sent of the events up to this end."""
        whole = bytes(self._open[:end])
        del self._open[:end]
        if self._is_quoted(whole):
            first, *others = split(whole)
            first = self._masked(first, is_cut=self._is_cut)
            whole = b"".join([first, *map(self._masked, others)])
        # Nothing of the secret has passed: up to there no byte was replaced.
        forward, self._passed, self._is_cut = whole[self._passed :], 0, False
        return forward

    def _masked(self, event: bytes, *, is_cut: bool = False) -> bytes:
        is_error = is_cut or self._is_error(event)
        return self._secret.masked(event) if is_error else event

    def _is_quoted(self, events: bytes) -> bool:
        return self._secret.find(events) >= 0

    def _released(self) -> bytes:
        """Return what the client may have of the event that has not ended."""
        if not self._open:
            return b""
        until = self._secret.find(self._open, self._passed)
        if 0 <= until < len(self._open) - _MAX_WAITING:
            self._is_cut = True
        if until < 0 or self._is_cut:
            until = len(self._open) - self._secret.partial_length(self._open, self._passed)
        forward, self._passed = bytes(self._open[self._passed : until]), until
        if self._is_cut or self._passed > _MAX_OPEN:
            kept = min(_LINE_ENDS, self._passed)
            del self._open[: self._passed - kept]
            self._passed, self._is_cut = kept, True
        return self._secret.masked(forward)
