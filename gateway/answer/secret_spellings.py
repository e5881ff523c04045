"""A secret within a text, however its characters are written there.

Writers of JSON may escape any character, as PHP does a slash and .NET a plus sign; addresses
have all but letters, digits and a few signs as `%2F`.
"""

import re
from functools import lru_cache

MASK = b"***"
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")  # RFC 3986, section 2.3
_ESCAPES = b"\\", b"%"  # what they begin with
_LONGEST = 6  # bytes of a character that is escaped: \u002f


class Spellings:
    """Finds a secret in whichever spelling. Positions are those of bytes."""

    def __init__(self, secret: str) -> None:
        self._plain = secret.encode()
        # Of each character the ways to write it, in small letters but for the first.
        self._ways = [_ways(character) for character in secret]
        self._any = re.compile(b"".join(map(_pattern, secret)))
        # Where one may begin: nearly all places that have the first character lack the second.
        first, second = (re.escape(self._plain[at : at + 1]) for at in (0, 1))
        self._begins = re.compile(rb"%s(?=%s|[\\%%]|\Z)|\\|%%" % (first, second))

    def find(self, data: bytes | bytearray, start: int = 0) -> int:
        """Return where the secret begins for the first time; -1 if it is not there."""
        if not _has_escapes(data, start):
            return data.find(self._plain, start)
        found = self._any.search(data, start)
        return found.start() if found else -1

    def masked(self, data: bytes) -> bytes:
        """Return the text without the secret."""
        return self._any.sub(MASK, data) if self.find(data) >= 0 else data

    def begun(self, data: bytes | bytearray, start: int) -> int:
        """Return how many bytes at the end, after `start`, may be the beginning of the secret."""
        length = len(self._plain)
        tail = max(start, len(data) - _LONGEST * length)
        if any(data.find(escape, tail) >= 0 for escape in _ESCAPES):
            length *= _LONGEST
        for found in self._begins.finditer(data, max(start, len(data) - length + 1)):
            if self._may_begin(data, found.start()):
                return len(data) - found.start()
        return 0

    def _may_begin(self, data: bytes | bytearray, at: int) -> bool:
        """Return whether the data end within a secret that begins there."""
        for plain, *escapes in self._ways:
            if data.startswith(plain, at) and plain not in _ESCAPES:
                at += len(plain)
                continue
            rest = bytes(data[at : at + _LONGEST])
            lowered = rest.lower()
            is_open = len(rest) < _LONGEST and (
                any(way.startswith(lowered) for way in escapes) or plain.startswith(rest)
            )
            if is_open and at + len(rest) == len(data):
                return True
            if rest.startswith(plain):
                at += len(plain)
            elif way := next(filter(lowered.startswith, escapes), None):
                at += len(way)
            else:
                return False
        return False


spellings_of = lru_cache(maxsize=1024)(Spellings)


def _ways(character: str) -> list[bytes]:
    plain = character.encode()
    ways = [plain, rb"\u%04x" % ord(character), b"\\" + plain.lower()]
    return ways if _UNRESERVED.fullmatch(character) else [*ways, _percent_encoded(plain)]


def _pattern(character: str) -> bytes:
    """Return what matches a character. Each way begins with a literal, to be found fast."""
    plain = re.escape(character.encode())
    ways = rb"%s|\\(?:%s|u(?i:%04x))" % (plain, plain, ord(character))
    if not _UNRESERVED.fullmatch(character):
        ways += b"|(?i:%s)" % _percent_encoded(character.encode())
    return b"(?:%s)" % ways


def _percent_encoded(plain: bytes) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in plain)


def _has_escapes(data: bytes | bytearray, start: int) -> bool:
    """Return whether characters of a secret may be escaped there; asked of each event."""
    return (
        data.find(b"%", start) >= 0
        or data.find(rb"\/", start) >= 0
        or data.find(rb"\u00", start) >= 0
    )
