"""Whether a receipt is genuine: its signature, against the keys that are known.

Receipts of ours are verified as they stand. The older servers signed other
texts than they sent; their spellings are tried after it, each only where it
covers every member that the document has, so that nothing can be added to a
genuine receipt. Source: docs/receipt-format.md, "Verifying".
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from receipts import signing
from receipts.canonical import NotCanonical, canonical
from receipts.forms import BASE_FIELDS, BATCH_FIELDS, FLAT, NESTED, form_of
from receipts.keys import PublicKey

MISMATCH = "the signature does not match the document"


class NotValid(Exception):
    """The receipt is not genuine; the text says why."""


class Verified(NamedTuple):
    key: PublicKey
    spelling: str  # "as received", or which older server's text the signature covers


def verify(document: dict, known: Iterable[PublicKey]) -> Verified:
    """The key that signed the document, out of the known ones. Raises NotValid."""
    try:
        signature = signing.decode(document.get("signature"))
        candidates = _candidates(document, list(known))
        for spelling, text in _texts(document):
            if key := _signer(text, signature, candidates):
                return Verified(key, spelling)
    except (signing.MalformedSignature, NotCanonical) as error:
        raise NotValid(str(error)) from None
    raise NotValid(_why(document, signature, candidates))


def _candidates(document: dict, known: list[PublicKey]) -> list[PublicKey]:
    if not known:
        raise NotValid("no public key is configured")
    id = document.get("key_id")
    if id is None:
        return known
    found = [key for key in known if key.id == id]
    if not found:
        raise NotValid(f"unknown key id {str(id)[:100]!r}")
    return found


def _signer(text: bytes, signature: bytes, candidates: list[PublicKey]) -> PublicKey | None:
    for key in candidates:
        try:
            signing.check(text, signature, key)
        except signing.SignatureMismatch:
            continue
        return key
    return None


def _texts(document: dict) -> Iterator[tuple[str, bytes]]:
    """The texts that a signature of this document may cover, the likeliest first."""
    signed = signing.unsigned(document)
    yield "as received", canonical(signed)
    timestamp = signed.get("timestamp")
    if not isinstance(timestamp, str) or not timestamp.endswith("Z"):
        return
    offset = timestamp[:-1] + "+00:00"
    if signed.keys() == BASE_FIELDS:
        yield "older flat", canonical({**signed, "timestamp": offset})
    elif form_of(document) == NESTED and isinstance(cost := signed.get("cost"), dict):
        # In August 2025: sorted keys, ASCII, and the times and amounts as Python prints them.
        spelt = {**signed, "timestamp": offset.replace("T", " ", 1)}
        if isinstance(amount := cost.get("amount"), str):
            spelt["cost"] = {**cost, "amount": amount}
        elif isinstance(amount, int | float):
            spelt["cost"] = {**cost, "amount": repr(amount)}
        yield "older nested", json.dumps(spelt, sort_keys=True, separators=(",", ":")).encode()


def _why(document: dict, signature: bytes, candidates: list[PublicKey]) -> str:
    if form_of(document) == FLAT and document.keys() & BATCH_FIELDS:
        base = {name: value for name, value in document.items() if name in BASE_FIELDS}
        base["signature"] = document["signature"]
        if any(_signer(text, signature, candidates) for _, text in _texts(base)):
            return "the signature covers the 13 base members only, not the summary beside them"
    return MISMATCH
