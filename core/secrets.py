"""Encryption of secrets in the database.

A sealed value is `s1.<key id>.<base64>`: XSalsa20-Poly1305 (PyNaCl's SecretBox)
over its JSON. The keys come from LLMRING_ENCRYPTION_KEY, separated by commas: the first one
seals, all of them open. Without the variable, a key in the data directory is used, which is
generated when it is first needed.

To change the key: put the new one first, restart, run `manage.py resealsecrets`, and remove
the old one.
"""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

import nacl.exceptions
import orjson
from django.conf import settings
from django.db import models
from nacl.secret import SecretBox

from core import json_writer, key_files
from core.errors import DomainError

_FORM = "s1"


class SecretUnreadable(DomainError):
    """The value was sealed under an unknown key, or was tampered with."""

    status_code = 503
    code = "secret_unreadable"

    def __init__(self) -> None:
        super().__init__("A stored secret cannot be read; the key it was sealed under is missing")


class Sealed:
    """A sealed JSON value. Its repr reveals nothing."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def of(cls, value: object) -> "Sealed":
        """Return the value, sealed under the first key."""
        id, box = next(iter(_boxes().items()))
        sealed = base64.urlsafe_b64encode(box.encrypt(json_writer.dumps(value))).decode()
        return cls(f"{_FORM}.{id}.{sealed}")

    def open(self) -> object:
        """Return the value. Raises SecretUnreadable."""
        try:
            form, id, sealed = self.text.split(".")
            if form != _FORM:
                raise SecretUnreadable
            return orjson.loads(_boxes()[id].decrypt(base64.urlsafe_b64decode(sealed)))
        except (ValueError, KeyError, nacl.exceptions.CryptoError) as error:
            raise SecretUnreadable from error

    @property
    def is_current(self) -> bool:
        """Whether it is sealed under the key that seals now."""
        return self.text.startswith(f"{_FORM}.{next(iter(_boxes()))}.")

    def __repr__(self) -> str:
        return "<sealed>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def fingerprint(secret: str) -> bytes:
    """Return a 32-byte keyed hash by which equal secrets are found."""
    key = bytes(next(iter(_boxes().values())))
    return hashlib.blake2b(secret.encode(), key=key, digest_size=32, person=b"fingerprint").digest()


class SealedField(models.TextField):
    """Holds a `Sealed`, or nothing. Found by the command `resealsecrets`."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **{**kwargs, "editable": False})

    def from_db_value(self, value, expression, connection) -> Sealed | None:
        return self.to_python(value)

    def to_python(self, value) -> Sealed | None:
        return value if value is None or isinstance(value, Sealed) else Sealed(value)

    def get_prep_value(self, value) -> str | None:
        if value is None:
            return None
        if not isinstance(value, Sealed):
            raise TypeError(f"{self.name} takes a Sealed, not the secret itself")
        return value.text

    def value_to_string(self, obj) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""


def _boxes() -> dict[str, SecretBox]:
    return _boxes_of(tuple(settings.ENCRYPTION_KEYS), settings.DATA_DIR)


@lru_cache(maxsize=4)
def _boxes_of(keys: tuple[str, ...], data_dir: Path) -> dict[str, SecretBox]:
    """Return the boxes by key id; the first one seals."""
    # Values that were sealed before the variable was set stay readable.
    if not keys or (data_dir / "encryption_key").exists():
        keys = (*keys, key_files.load_or_create(data_dir, "encryption_key"))
    return dict(map(_box, keys))


def _box(key: str) -> tuple[str, SecretBox]:
    secret = hashlib.blake2b(key.encode(), digest_size=32, person=b"llmring sealing").digest()
    return hashlib.sha256(secret).hexdigest()[:8], SecretBox(secret)
