"""Server-sent events are parsed as they arrive. Source: HTML Living Standard, 9.2.6."""

import pytest

from mcp.client.event_stream import Event, read_events
from mcp.client.mcp_errors import ProtocolViolation

STREAM = (
    b"\xef\xbb\xbfevent: first\ndata: \xef\xbb\xbf\n\n\n: note\r\nid: 1\rretry: 10\ndata: a\r\n\r\n"
    b"event: other\ndata:b\ndata:  c\n\n"
    b"retry: soon\nretry: 99999999999\nid: \x00\nunknown: x\n\n"
    b"data\r\rdata: incomplete"
)
EVENTS = [
    Event("first", b"\xef\xbb\xbf"),
    Event("message", b"a", "1", 10),
    Event("other", b"b\n c", "1"),
    Event("message", b"", "1"),
]


# The first piece has the whole byte order mark.
@pytest.mark.parametrize("size", [3, 4, 7, 11, len(STREAM)])
def test_events_are_the_same_in_pieces_of_any_size(size):
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert list(read_events(pieces, limit=60)) == EVENTS


def test_carriage_return_and_line_feed_in_two_pieces_are_one_line_end():
    pieces = [b"\ndata: a\r", b"\ndata: b\r", b"data: c\n\n"]
    assert list(read_events(pieces, limit=30)) == [Event("message", b"a\nb\nc")]


def test_events_and_lines_are_limited():
    line = b"data: 12345\n"  # 11 bytes without its end
    events = list(read_events([(line * 3 + b"\n") * 2], limit=33))
    assert events == [Event("message", b"12345\n12345\n12345")] * 2
    for pieces in ([line * 3 + b"\n"], [b"x" * 20, b"x" * 13]):
        with pytest.raises(ProtocolViolation, match="longer than 32 bytes"):
            list(read_events(pieces, limit=32))
