"""Events in a stream of bytes (WHATWG HTML, section 9.2.6), without changing a byte.

    stream = EventStream(meter, hides=is_usage_event)
    forward = stream.feed(data)     # bytes that the client gets now
    forward = stream.finish()

Handwritten, because parsers on PyPI decode and join lines, at many times the cost, and lose
the bytes that have to be sent on unchanged. Here events are only split where one of them may
have to be hidden, and whole ones are shown to the meter.
"""

import codecs
import re
from collections.abc import Callable
from typing import Protocol

# `\r\n` is a single line end; whether `\r` is one depends on the byte after it.
_LINE_END = rb"(?:\r\n|\n|\r(?!\n|\Z))"
# Not `{2}`, before which `re` looks at every byte instead of searching for the first ones.
_BLANK_LINE = re.compile(_LINE_END + _LINE_END)
# The last byte of a line end, and the first of another.
_LINE_ENDS = (b"\n\n", b"\n\r", b"\r\r")
_SPACE = rb"\s*(?:data:\s*)*"  # in JSON, which may have several lines in an event
COLON = rb"%s:%s" % (_SPACE, _SPACE)  # between a name and its value
_CHOICE = re.compile(rb'"choices"%s\[%s\{' % (COLON, _SPACE))
# Chunks before it say `"usage": null`.
USAGE = re.compile(rb'"usage"%s\{' % COLON)
# The comments before an event; the last one may be incomplete.
_COMMENTS = re.compile(rb"(?::[^\r\n]*(?:\r\n|\r|\n))*(?::[^\r\n]*\Z)?")
# No usage chunk is that long; a longer event must not wait for its end.
_MAX_HELD = 64 * 1024
# Of an event, for the meter. A longer one is shown in parts, which are shorter after the
# first: while one is searched, nothing is relayed.
_MAX_EVENT = 16 * 1024 * 1024
_MAX_PART = 1024 * 1024
# Bytes of whole events that are shown together: one by one they take half as long again.
_MAX_UNSEEN = 16 * 1024


class Meter(Protocol):
    has_data: bool

    def see(self, events: bytes, *, is_part: bool = False) -> None:
        """Read whole events. `is_part`: the first lacks its beginning, or its end."""


def data_of(event: bytes) -> bytes:
    """Return the data of an event: its `data` lines, joined by newlines.

    The first event of a stream may begin with a byte order mark.
    """
    event = event.removeprefix(codecs.BOM_UTF8)
    lines = event.splitlines() if b"\r" in event else event.split(b"\n")
    values = (line[5:] for line in lines if line.startswith(b"data:"))
    return b"\n".join(value.removeprefix(b" ") for value in values)


def split(events: bytes) -> list[bytes]:
    """Return the events, each with the blank line that ends it."""
    if b"\r" not in events:  # the usual case, a hundred times as fast
        *ended, rest = events.split(b"\n\n")
        return [event + b"\n\n" for event in ended] + ([rest] if rest else [])
    parts, start = [], 0
    for end in _BLANK_LINE.finditer(events):
        parts.append(events[start : end.end()])
        start = end.end()
    if start < len(events):
        parts.append(events[start:])
    return parts


class EventStream:
    """Passes a stream on at once, and shows its events to a meter.

    `hides(event)` returns whether the client did not ask for an event. Only an event that may
    be hidden is held until it ends; comments never are.
    """

    def __init__(self, meter: Meter, *, hides: Callable[[bytes], bool] | None = None) -> None:
        self._meter = meter
        self._hides = hides
        self._unseen: list[bytes] = []  # whole events, for the meter
        self._unseen_size = 0
        self._open = bytearray()  # the event that has not ended
        self._passed = 0  # how much of it the client already has
        self._is_shown = False  # it will not be hidden
        self._is_cut = False  # its beginning has been shown

    def work(self, data: bytes = b"") -> int:
        """Return how many bytes `feed` will look at, or `finish` if there are no more data.

        An event that has not ended is looked at when it ends, or becomes too long.
        """
        if not self._open:
            return len(data)
        size = len(self._open) + len(data)
        may_end = b"\n" in data or b"\r" in data or self._open.endswith(b"\r")
        return size if may_end or not data or size > self._max_shown else len(data)

    def feed(self, data: bytes) -> bytes:
        """Return what the client may have of the stream so far, and has not been sent."""
        if not self._open and data.endswith(b"\n\n"):  # whole events, as they usually are
            self._keep_for_meter(data)
            return data if self._hides is None else self._visible(data)
        searched = max(len(self._open) - 3, 0)
        self._open += data
        end = last_end(self._open, searched)
        if self._hides is None:
            if end:
                self._ended(end)
            self._show_part()
            return data
        forward = b""
        if end:
            forward = self._visible(self._ended(end))
            self._passed, self._is_shown = 0, False
        return forward + self._released()

    def finish(self) -> bytes:
        """Show the meter the rest, and return what the client has not been sent.

        The last event may lack the blank line at its end.
        """
        self._show_kept()
        rest, self._open = bytes(self._open), bytearray()
        if not rest:
            return b""
        self._meter.see(rest, is_part=self._is_cut)
        return b"" if self._hides is None else self._visible(rest)

    def _ended(self, end: int) -> bytes:
        """Return the events up to this end, and show them to the meter."""
        whole = bytes(self._open[:end])
        del self._open[:end]
        if self._is_cut:
            self._meter.see(whole, is_part=True)
            self._is_cut = False
        else:
            self._keep_for_meter(whole)
        return whole

    def _keep_for_meter(self, events: bytes) -> None:
        """Show whole events: the first ones at once, others together with those after them."""
        self._unseen.append(events)
        self._unseen_size += len(events)
        if self._unseen_size > _MAX_UNSEEN or not self._meter.has_data:
            self._show_kept()

    def _show_kept(self) -> None:
        if self._unseen:
            self._meter.see(b"".join(self._unseen))
            self._unseen, self._unseen_size = [], 0

    @property
    def _max_shown(self) -> int:
        return _MAX_PART if self._is_cut else _MAX_EVENT

    def _show_part(self) -> None:
        """Show a part of an event that is too long, and keep its end.

        What is cut there stands whole in the next part.
        """
        if len(self._open) > self._max_shown:
            self._show_kept()
            self._meter.see(bytes(self._open), is_part=True)
            del self._open[: len(self._open) - _MAX_HELD]
            self._is_cut = True

    def _visible(self, whole: bytes) -> bytes:
        """Return whole events without the hidden ones and without what the client already has."""
        if not self._passed and USAGE.search(whole) is None:
            return whole
        first, *others = split(whole)
        shown = first if self._is_shown else self._seen_of(first)
        return shown[self._passed :] + b"".join(map(self._seen_of, others))

    def _seen_of(self, event: bytes) -> bytes:
        return event[: _COMMENTS.match(event).end()] if self._hides(event) else event

    def _released(self) -> bytes:
        """Return what may be sent of the event that has not ended."""
        if not self._open:
            return b""
        self._is_shown = self._is_shown or not self._may_be_hidden()
        until = len(self._open) if self._is_shown else _COMMENTS.match(self._open).end()
        forward, self._passed = bytes(self._open[self._passed : until]), until
        if self._is_shown:
            self._show_part()
            self._passed = len(self._open)
        return forward

    def _may_be_hidden(self) -> bool:
        return len(self._open) <= _MAX_HELD and _CHOICE.search(self._open) is None


def last_end(data: bytes | bytearray, start: int) -> int:
    """Return the end of the last complete event; 0 without any."""
    if (end := data.rfind(b"\n\n", start)) >= 0 and b"\r" not in data[end:]:
        return end + 2
    return max(_end_of_last(pair, data, start) for pair in _LINE_ENDS)


def _end_of_last(pair: bytes, data: bytes | bytearray, start: int) -> int:
    """Return the end of the last two line ends of this kind; 0 without any."""
    at = data.rfind(pair, start)
    if pair.endswith(b"\r") and at + 2 == len(data):  # a newline may follow
        at = data.rfind(pair, start, len(data) - 1)
    if at < 0:
        return 0
    return at + 2 + (pair.endswith(b"\r") and data.startswith(b"\n", at + 2))
