"""Signatures of receipts: Ed25519 over RFC 8785 of the document without `signature`.

What is signed is exactly the JSON value that is returned. Times are text in it
from the start and never formatted again. JSON has no decimals, so money that
we compute (Decimal) is written before it comes here: in the nested form as a
decimal string ("0.00033"), in the flat form as a JSON number, the double next
to the amount. Amounts that a caller states stay as the caller wrote them.
Source: docs/receipt-format.md, "What is signed".
"""

import re

from nacl import bindings, exceptions

from receipts import keys
from receipts.canonical import canonical
from receipts.keys import PublicKey, SigningKey

_SIGNATURE = re.compile(r"ed25519:([A-Za-z0-9_-]{86})")
_BYTES = bindings.crypto_sign_BYTES


class SignatureMismatch(Exception):
    """The signature is not the key's over this text."""


class MalformedSignature(ValueError):
    """The text is no signature at all; says why."""


def sign(document: dict, key: SigningKey) -> str:
    """The signature of the document, `ed25519:` and 86 characters of base64url.

    A `signature` in the document is left out. Raises NotCanonical.
    """
    return sign_text(canonical(unsigned(document)), key)


def sign_text(text: bytes, key: SigningKey) -> str:
    return f"ed25519:{keys.encode(bindings.crypto_sign(text, key.secret)[:_BYTES])}"


def unsigned(document: dict) -> dict:
    """The document without its signature."""
    return {name: value for name, value in document.items() if name != "signature"}


def decode(signature: object) -> bytes:
    """The 64 bytes of a signature as it is written in a receipt. Raises MalformedSignature."""
    if not isinstance(signature, str):
        raise MalformedSignature("the signature is missing")
    if not signature.startswith("ed25519:"):
        raise MalformedSignature("the signature does not begin with ed25519:")
    found = _SIGNATURE.fullmatch(signature)
    if not found:
        raise MalformedSignature(
            "the signature is not ed25519: and 86 characters of base64url (64 bytes)"
        )
    raw = keys.decode(found[1])
    # Two bits of the last character are no part of the bytes: only one spelling is ours.
    if keys.encode(raw) != found[1]:
        raise MalformedSignature("the signature's last character has surplus bits")
    return raw


def check(text: bytes, signature: bytes, key: PublicKey) -> None:
    """Returns if the signature is the key's over the text, raises SignatureMismatch if not."""
    try:
        bindings.crypto_sign_open(signature + text, key.raw)
    except exceptions.BadSignatureError:
        raise SignatureMismatch from None
