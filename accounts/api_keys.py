"""API keys as text: generation, digest, syntax. No database here."""

import hashlib
import re
import secrets
from contextlib import suppress
from uuid import UUID

PREFIX = "llmr_pk_"
MAX_LENGTH = 255
_WHITESPACE = re.compile(r"\s")


class MalformedKey(ValueError):
    """The text cannot be a key. `reason` follows the name of a header in the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def generate() -> str:
    """Return a new key: `llmr_pk_` and 32 hexadecimal digits."""
    return PREFIX + secrets.token_hex(16)


def hint(key: str) -> str:
    """Return the first characters of a key, by which people recognize it."""
    return key[: len(PREFIX) + 4]


def digest(key: str) -> bytes:
    """Return the SHA-256 of the key, the only part that is stored.

    A plain digest is enough: issued keys have 128 random bits.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def decode(value: str) -> str:
    """Return the key in a header's value (bytes decoded as ISO 8859-1), without blanks around it.

    Clients send UTF-8, a few of them ISO 8859-1. Some bytes of UTF-8 letters ("à", "Å", "Р") are
    blanks in the latter: such keys would be refused, or lose a letter and equal another key.
    """
    if not value.isascii():
        with suppress(UnicodeError):  # it is ISO 8859-1
            value = value.encode("latin-1").decode()
    return value.strip()


def is_id(text: str) -> bool:
    """Return whether the text is a UUID: ids are not secret."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def check_form(key: str) -> None:
    """Raise MalformedKey for a key that is too long, has whitespace inside or is several keys.

    A header that is sent twice arrives as one, joined by a comma: another text, which in
    `bridge` mode would open another project.

    Source: docs/http-contract.md, section "Keys".
    """
    if "," in key and _is_repeated(key):
        raise MalformedKey("must be sent once")
    if len(key) > MAX_LENGTH:
        raise MalformedKey("too long")
    if _WHITESPACE.search(key):
        raise MalformedKey("must not contain whitespace")


def _is_repeated(key: str) -> bool:
    parts = [part.strip() for part in key.split(",")]
    return len(set(parts)) == 1 or any(part.startswith(PREFIX) for part in parts)
