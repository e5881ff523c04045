"""Signatures of receipts: Ed25519 over the RFC 8785 text of the document without `signature`.

What is signed is exactly the JSON value that is returned. Times are strings
from the start and never formatted again. JSON has no decimals, so amounts that
the server computes (Decimal) are converted before: in the nested form to a
decimal string ("0.00033"), in the flat form to a JSON number, the nearest
double. Amounts that a caller states stay as the caller wrote them.
Source: docs/receipt-format.md, "What is signed".
"""

import base64
import re

from nacl import bindings, exceptions

from receipts import keys
from receipts.documents import canonical_with_signature, unsigned
from receipts.keys import PublicKey, SigningKey

_SIGNATURE = re.compile(r"ed25519:([A-Za-z0-9_-]{86})")


class SignatureMismatch(Exception):
    """The signature is not the key's over this text."""


class MalformedSignature(ValueError):
    """The value is not a signature; the message has the reason."""


def signed_text(document: dict, key: SigningKey) -> tuple[bytes, str]:
    """Return the RFC 8785 text of the document with its signature, and the signature.

    A `signature` in the document is replaced. Raises NotCanonical.
    """
    return canonical_with_signature(unsigned(document), lambda text: sign_text(text, key))


def sign_text(text: bytes, key: SigningKey) -> str:
    """Return the signature of the bytes: `ed25519:` and 86 characters of base64url."""
    signature = bindings.crypto_sign(text, key.secret)[: bindings.crypto_sign_BYTES]
    return f"ed25519:{keys.encode(signature)}"


def decode(signature: object) -> bytes:
    """Return the 64 bytes of a signature as a receipt has it. Raises MalformedSignature."""
    if not isinstance(signature, str):
        raise MalformedSignature("the signature is missing")
    if not signature.startswith("ed25519:"):
        raise MalformedSignature("the signature does not begin with ed25519:")
    match = _SIGNATURE.fullmatch(signature)
    if not match:
        raise MalformedSignature(
            "the signature is not ed25519: and 86 characters of base64url (64 bytes)"
        )
    # Four bits of the last character encode nothing; only one spelling is canonical.
    if match[1][-1] not in "AQgw":
        raise MalformedSignature("the signature's last character has surplus bits")
    return base64.urlsafe_b64decode(f"{match[1]}==")


def check(text: bytes, signature: bytes, key: PublicKey) -> None:
    """Return if the signature is the key's over the text. Raises SignatureMismatch."""
    try:
        bindings.crypto_sign_open(signature + text, key.raw)
    except exceptions.BadSignatureError:
        raise SignatureMismatch from None
