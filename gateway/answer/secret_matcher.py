"""Find a secret in a text, however its characters are escaped.

Writers of JSON may escape any character, as PHP does a slash and .NET a plus sign; in URLs all
but letters, digits and a few signs may be percent-encoded.
"""

import re
from functools import lru_cache

MASK = b"***"
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")  # RFC 3986, section 2.3
_ESCAPE_PREFIXES = b"\\", b"%"
_MAX_ESCAPE = 6  # bytes of an encoded character: \u002f


class SecretMatcher:
    """Finds a secret in any encoding. Positions are those of bytes."""

    def __init__(self, secret: str) -> None:
        self._plain = secret.encode()
        # Of each character: as it is, and how else it may be encoded, in lower case.
        self._encodings = [_encodings(character) for character in secret]
        self._pattern = re.compile(b"".join(map(_pattern, secret)))
        self._has_signs_of_json = '"' in secret or "\\" in secret  # which every text escapes
        # Where a match may start: nearly all places with the first character lack the second.
        first, second = (re.escape(self._plain[at : at + 1]) for at in (0, 1))
        self._starts = re.compile(rb"%s(?=%s|[\\%%]|\Z)|\\|%%" % (first, second))

    def find(self, data: bytes | bytearray, start: int = 0) -> int:
        """Return where the first match starts; -1 without any."""
        if not self._may_be_escaped(data, start):
            return data.find(self._plain, start)
        match = self._pattern.search(data, start)
        return match.start() if match else -1

    def _may_be_escaped(self, data: bytes | bytearray, start: int) -> bool:
        """Return whether characters of the secret may be escaped there; asked of each event."""
        return (
            data.find(b"%", start) >= 0
            or data.find(rb"\/", start) >= 0
            or data.find(rb"\u00", start) >= 0
            or (self._has_signs_of_json and data.find(b"\\", start) >= 0)
        )

    def masked(self, data: bytes) -> bytes:
        """Return the text without the secret, also where no JSON would escape its characters."""
        if any(prefix in data for prefix in _ESCAPE_PREFIXES):
            return self._pattern.sub(MASK, data)
        return data.replace(self._plain, MASK)

    def partial_length(self, data: bytes | bytearray, start: int) -> int:
        """Return how many bytes at the end, after `start`, may be a prefix of the secret."""
        length = len(self._plain)
        tail = max(start, len(data) - _MAX_ESCAPE * length)
        if any(data.find(prefix, tail) >= 0 for prefix in _ESCAPE_PREFIXES):
            length *= _MAX_ESCAPE
        for match in self._starts.finditer(data, max(start, len(data) - length + 1)):
            if self._ends_within(data, match.start()):
                return len(data) - match.start()
        return 0

    def _ends_within(self, data: bytes | bytearray, at: int) -> bool:
        """Return whether the data end before a secret that starts there does."""
        starts = {at}  # of the next character: a percent sign may be one, or begin an escape
        for plain, *escapes in self._encodings:
            ends = set()
            for start in starts:
                rest = bytes(data[start : start + _MAX_ESCAPE])
                lowered = rest.lower()
                if start + len(rest) == len(data) and any(
                    escape.startswith(lowered) and lowered != escape for escape in escapes
                ):
                    return True
                if rest.startswith(plain):
                    ends.add(start + len(plain))
                ends.update(start + len(each) for each in escapes if lowered.startswith(each))
            if not ends:
                return False
            starts = ends
        return False


matcher_of = lru_cache(maxsize=1024)(SecretMatcher)


def _encodings(character: str) -> list[bytes]:
    plain = character.encode()
    encodings = [plain, rb"\u%04x" % ord(character), b"\\" + plain.lower()]
    if not _UNRESERVED.fullmatch(character):
        encodings.append(_percent_encoded(plain))
    return encodings


def _pattern(character: str) -> bytes:
    """Return what matches a character. Each alternative starts with a literal, to be found fast."""
    plain = re.escape(character.encode())
    alternatives = rb"%s|\\(?:%s|u(?i:%04x))" % (plain, plain, ord(character))
    if not _UNRESERVED.fullmatch(character):
        alternatives += b"|(?i:%s)" % _percent_encoded(character.encode())
    return b"(?:%s)" % alternatives


def _percent_encoded(plain: bytes) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in plain)
