"""Ed25519 keys as they are written in settings and published in documents.

No settings, no database. Source: docs/http-contract/receipts.md, "Receipt keys".
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property

from nacl import bindings

# DER of a SubjectPublicKeyInfo for Ed25519 (RFC 8410), up to the key's 32 bytes.
_SPKI = bytes.fromhex("302a300506032b6570032100")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)


class BadKey(ValueError):
    """The text is not an Ed25519 key; the message says why."""


def decode(text: str) -> bytes:
    """Return the bytes of base64url or standard base64, padded or not. Raises BadKey."""
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadKey("is not base64") from None


def encode(raw: bytes) -> str:
    """Return base64url without padding, in which keys and signatures are written."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies. Its id defaults to one derived from its digest."""

    raw: bytes = field(repr=False)
    id: str = ""

    def __post_init__(self) -> None:
        if len(self.raw) != bindings.crypto_sign_PUBLICKEYBYTES:
            raise BadKey(f"has {len(self.raw)} bytes, an Ed25519 key has 32")
        if not self.id:
            digest = hashlib.sha256(self.text.encode()).hexdigest()
            object.__setattr__(self, "id", f"key_{digest[:16]}")

    @classmethod
    def parse(cls, text: str, id: str = "") -> "PublicKey":
        """Return the key of base64 or of a PEM SubjectPublicKeyInfo. Raises BadKey."""
        if match := _PEM.search(text):
            der = decode("".join(match[1].split()))
            if not der.startswith(_SPKI):
                raise BadKey("is a PEM of another kind than Ed25519")
            return cls(der[len(_SPKI) :], id)
        return cls(decode(text), id)

    @cached_property
    def text(self) -> str:
        """The key in base64url."""
        return encode(self.raw)

    @cached_property
    def pem(self) -> str:
        """SubjectPublicKeyInfo, as `openssl pkey -pubin` reads it."""
        body = base64.b64encode(_SPKI + self.raw).decode()
        return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"

    @cached_property
    def jwk(self) -> dict[str, str]:
        """JSON Web Key (RFC 8037)."""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": self.text,
            "kid": self.id,
            "use": "sig",
            "alg": "EdDSA",
        }


@dataclass(frozen=True)
class SigningKey:
    """A key that signs: parsed once, used for every signature."""

    seed: bytes = field(repr=False)
    id: str = ""
    public: PublicKey = field(init=False)
    secret: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != bindings.crypto_sign_SEEDBYTES:
            raise BadKey(f"has {len(self.seed)} bytes, an Ed25519 seed has 32")
        public, secret = bindings.crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "secret", secret)
        object.__setattr__(self, "public", PublicKey(public, self.id))
        object.__setattr__(self, "id", self.public.id)
