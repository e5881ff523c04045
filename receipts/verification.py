"""Whether a receipt is genuine: its signature, checked against the trusted keys.

Receipts of this server are verified as they stand. The older servers signed
other texts than they sent; these are tried next, each only where it covers
every member of the document, so that nothing can be added to a genuine receipt.
Source: docs/receipt-format.md, "Verifying".
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from receipts import signing
from receipts.documents import (
    BASE_MEMBERS,
    BATCH_MEMBERS,
    FLAT,
    NESTED,
    NotCanonical,
    canonical,
    form_of,
    id_of,
    unsigned,
)
from receipts.keys import PublicKey

MISMATCH = "the signature does not match the document"
# Used by `iterencode`, which lets other threads run where `encode` would not.
_older_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class NotValid(Exception):
    """The receipt is not genuine; the message has the reason."""


class Verified(NamedTuple):
    key: PublicKey
    spelling: str  # "as received", or which older server's text the signature covers


def verify(document: dict, trusted: Iterable[PublicKey]) -> Verified:
    """Return the trusted key that signed the document. Raises NotValid."""
    try:
        signature = signing.decode(document.get("signature"))
        candidates = _candidates(document, list(trusted))
        for spelling, text in _texts(document):
            if key := _signer(text, signature, candidates):
                return Verified(key, spelling)
    except (signing.MalformedSignature, NotCanonical) as error:
        raise NotValid(str(error)) from None
    raise NotValid(_mismatch_reason(document, signature, candidates))


def verdict(document: dict, trusted: Iterable[PublicKey]) -> dict:
    """Return the reply of `POST /receipts/verify`: the key that signed, or the reason."""
    try:
        key = verify(document, trusted).key
    except NotValid as error:
        outcome = {"valid": False, "algorithm": "Ed25519", "reason": str(error)}
    else:
        outcome = {"valid": True, "algorithm": "Ed25519", "key_id": key.id}
    return {"receipt_id": id_of(document), **outcome}


def signed_text(document: dict, spelling: str) -> bytes:
    """Return the text that the signature covers, in the spelling of its verification."""
    return dict(_texts(document))[spelling]


def _candidates(document: dict, trusted: list[PublicKey]) -> list[PublicKey]:
    if not trusted:
        raise NotValid("no public key is configured")
    id = document.get("key_id")
    if id is None:
        return trusted
    candidates = [key for key in trusted if key.id == id]
    if not candidates:
        raise NotValid(f"unknown key id {str(id)[:100]!r}")
    return candidates


def _signer(text: bytes, signature: bytes, candidates: list[PublicKey]) -> PublicKey | None:
    for key in candidates:
        try:
            signing.check(text, signature, key)
        except signing.SignatureMismatch:
            continue
        return key
    return None


def _texts(document: dict) -> Iterator[tuple[str, bytes]]:
    """Yield the texts that the signature may cover, the likeliest first."""
    signed = unsigned(document)
    yield "as received", canonical(signed)
    timestamp = signed.get("timestamp")
    if not isinstance(timestamp, str) or not timestamp.endswith("Z"):
        return
    with_offset = timestamp[:-1] + "+00:00"
    if signed.keys() == BASE_MEMBERS:
        yield "older flat", canonical({**signed, "timestamp": with_offset})
    elif form_of(document) == NESTED and isinstance(cost := signed.get("cost"), dict):
        # In August 2025: sorted keys, ASCII, and the times and amounts as Python prints them.
        older = {**signed, "timestamp": with_offset.replace("T", " ", 1)}
        if isinstance(amount := cost.get("amount"), str):
            older["cost"] = {**cost, "amount": amount}
        elif isinstance(amount, int | float):
            older["cost"] = {**cost, "amount": repr(amount)}
        yield "older nested", "".join(_older_encoder.iterencode(older)).encode()


def _mismatch_reason(document: dict, signature: bytes, candidates: list[PublicKey]) -> str:
    if form_of(document) == FLAT and document.keys() & BATCH_MEMBERS:
        base = {name: value for name, value in document.items() if name in BASE_MEMBERS}
        base["signature"] = document["signature"]
        if any(_signer(text, signature, candidates) for _, text in _texts(base)):
            return "the signature covers the 13 base members only, not the summary beside them"
    return MISMATCH
