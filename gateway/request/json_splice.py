"""Change one member of a JSON object and leave every other byte as it was sent.

By hand: libraries that edit JSON in place are for formatted files, and slow; parsing and
writing it again would change numbers, escapes and the order of what we do not know.
"""

import re

import orjson

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]}\s]+")
# Outside of strings; what opens and closes.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


def with_member(body: bytes, name: str, value: bytes) -> bytes:
    """Return an object's JSON with a member of the object set to a JSON text.

    `body` is valid JSON of an object, in which `name` occurs at most once.
    """
    start = body.index(b"{") + 1
    span = _value_span(body, start, name)
    if span is not None:
        return body[: span[0]] + value + body[span[1] :]
    is_empty = body[_SPACE.match(body, start).end()] == ord("}")
    return b'%s"%s":%s%s%s' % (
        body[:start],
        name.encode(),
        value,
        b"" if is_empty else b",",
        body[start:],
    )


def _value_span(body: bytes, at: int, name: str) -> tuple[int, int] | None:
    """Return where a member's value begins and ends; None without that member."""
    while True:
        at = _SPACE.match(body, at).end()
        if body[at] == ord("}"):
            return None
        key = _STRING.match(body, at)
        colon = _SPACE.match(body, key.end()).end()
        start = _SPACE.match(body, colon + 1).end()
        end = _end_of_value(body, start)
        if orjson.loads(key[0]) == name:  # it may be written with escapes
            return start, end
        at = _SPACE.match(body, end).end()
        if body[at] == ord(","):
            at += 1


def _end_of_value(body: bytes, start: int) -> int:
    first = body[start : start + 1]
    if first == b'"':
        return _STRING.match(body, start).end()
    if first not in (b"{", b"["):
        return _SCALAR.match(body, start).end()
    depth = 0
    for token in _STRUCTURE.finditer(body, start):
        if token[0] in (b"{", b"["):
            depth += 1
        elif token[0] in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    raise ValueError("not a JSON object")
