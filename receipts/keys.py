"""Ed25519 keys as they are written in settings and published in documents.

No settings, no database. Source: docs/http-contract/receipts.md, "Receipt keys".
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property  # noqa: TID251 - llmring-verify has no Django

from nacl import bindings

# DER of a SubjectPublicKeyInfo for Ed25519 (RFC 8410), up to the key's 32 bytes.
_SPKI = bytes.fromhex("302a300506032b6570032100")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)


class BadKey(ValueError):
    """The text is not an Ed25519 key; the message has the reason."""


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


def pem_blocks(text: str) -> list[str]:
    """Return the base64 text of each PEM block with a public key."""
    return _PEM.findall(text)


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies. Its id defaults to one derived from its digest."""

    raw: bytes = field(repr=False)
    id: str = ""

    def __post_init__(self) -> None:
        if len(self.raw) != bindings.crypto_sign_PUBLICKEYBYTES:
            raise BadKey(f"has {len(self.raw)} bytes, an Ed25519 key has 32")
        # Nothing verifies under other bytes, or, with keys of small order, anything might.
        if not bindings.crypto_core_ed25519_is_valid_point(self.raw):
            raise BadKey("is not an Ed25519 key: its bytes name no point of the curve's group")
        if not self.id:
            digest = hashlib.sha256(self.text.encode()).hexdigest()
            object.__setattr__(self, "id", f"key_{digest[:16]}")

    @classmethod
    def parse(cls, text: str, id: str = "") -> "PublicKey":
        """Return the key of base64 or of a PEM SubjectPublicKeyInfo. Raises BadKey."""
        blocks = pem_blocks(text)
        if len(blocks) > 1:
            raise BadKey("has several PEM blocks")
        return cls.from_pem(blocks[0], id) if blocks else cls(decode(text), id)

    @classmethod
    def from_pem(cls, block: str, id: str = "") -> "PublicKey":
        """Return the key of the base64 text of a PEM block. Raises BadKey."""
        der = decode("".join(block.split()))
        if not der.startswith(_SPKI):
            raise BadKey("is a PEM of another kind than Ed25519")
        return cls(der[len(_SPKI) :], id)

    @classmethod
    def from_json(cls, entry: object, id: str = "") -> "PublicKey":
        """Return the key of a JWK (RFC 8037) or of an entry of our key document.

        `id` is for an entry without one. Raises BadKey, also for keys that are
        for another algorithm or for encryption.
        """
        if not isinstance(entry, dict):
            raise BadKey("has an entry that is not an object")
        if "kty" in entry and (entry["kty"], entry.get("crv")) != ("OKP", "Ed25519"):
            raise BadKey("has a JWK of another kind than Ed25519 (kty OKP, crv Ed25519)")
        if entry.get("use", "sig") != "sig":
            raise BadKey("has a JWK that is not for signatures")
        algorithm = entry.get("alg", entry.get("algorithm", "Ed25519"))
        text = entry.get("x" if "kty" in entry else "public_key")
        if algorithm not in ("EdDSA", "Ed25519") or not isinstance(text, str):
            raise BadKey("has an entry without an Ed25519 key (a JWK, or public_key)")
        return cls(decode(text), str(entry.get("kid") or entry.get("key_id") or id))

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
