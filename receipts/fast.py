"""Issuing and verifying on the fast lane (core/edge.py).

Only well-formed receipts are answered here: the structs are the serializers'
strict halves, and whatever they do not take goes to the view, which says what
is wrong. A test holds both ways equal.
"""

from typing import Annotated

import msgspec

from accounts.authentication import cached_caller
from core import media
from core.errors import InvalidInput
from core.fast_lane import Answer, body_of
from receipts import drafts, server_keys, verification
from receipts.documents import FLAT, MAX_INTEGER, AmbiguousJSON, form_of, parse

Text = Annotated[str, msgspec.Meta(max_length=255)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
# The spellings of time that everybody writes; others are for the serializer.
Time = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d"
        r"(\.\d{1,6})?(Z|\+00:00)$"
    ),
]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=MAX_INTEGER)]
AmountText = Annotated[str, msgspec.Meta(pattern=r"^\d{1,15}(\.\d{1,12})?$")]
SignedCount = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
SignedAmount = Annotated[float, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]


class FlatDraft(msgspec.Struct):
    alias: Text
    provider: Text
    model: Text
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    input_cost: Amount
    output_cost: Amount
    total_cost: Amount
    receipt_id: Text | None = None
    timestamp: Time | None = None
    profile: Text | None = None
    lock_digest: Text | None = None


class TokensDraft(msgspec.Struct):
    input: Count
    output: Count
    cached_input: Count | None = None


class CostDraft(msgspec.Struct):
    """With both members: what is missing is looked up by the view."""

    amount: Amount | AmountText
    calculation: str


class NestedDraft(msgspec.Struct):
    model: Text
    tokens: TokensDraft
    cost: CostDraft
    id: Text | None = None
    timestamp: Time | None = None
    provider: Text | None = None
    alias: Text | None = None
    profile: Text | None = None
    lock_digest: Text | None = None


class SignedFlat(msgspec.Struct):
    receipt_id: Id
    timestamp: Time
    alias: Text
    provider: Text
    model: Text
    prompt_tokens: SignedCount
    completion_tokens: SignedCount
    total_tokens: SignedCount
    input_cost: SignedAmount
    output_cost: SignedAmount
    total_cost: SignedAmount
    profile: Text = ""
    lock_digest: Text = ""
    receipt_type: str | None = None


class SignedTokens(msgspec.Struct):
    input: SignedCount
    output: SignedCount


class SignedCost(msgspec.Struct):
    amount: SignedAmount | AmountText


class SignedNested(msgspec.Struct):
    id: Id
    timestamp: Time
    model: Text
    tokens: SignedTokens
    cost: SignedCost
    provider: Text | None = None
    alias: Text | None = None
    profile: Text | None = None
    key_id: Text | None = None


def issue(environ: dict) -> Answer | None:
    """Signs a well-formed draft of a known key with the key that signs."""
    key = server_keys.cached_signing_key()
    if key is None or cached_caller(environ) is None:
        return None
    draft = _receipt_of(environ, FlatDraft, NestedDraft)
    if draft is None:
        return None
    if form_of(draft) == FLAT:
        document = drafts.flat_document(draft)
    elif (draft["tokens"].get("cached_input") or 0) > draft["tokens"]["input"]:
        return None
    else:
        document = drafts.nested_document(draft, draft, key.id)
    try:
        return Answer(drafts.sign(document, key).text)
    except InvalidInput:
        return None


def verify(environ: dict) -> Answer | None:
    """The verdict on a well-formed receipt."""
    known = server_keys.cached_trusted()
    if known is None:
        return None
    document = _receipt_of(environ, SignedFlat, SignedNested)
    if document is None or document.get("receipt_type") not in (None, "single", "batch"):
        return None
    return Answer(media.dumps(verification.verdict(document, known)))


def _receipt_of(environ: dict, flat: type, nested: type) -> dict | None:
    """The bare receipt in the body, if its form's struct takes it."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/json"):
        return None
    body = body_of(environ)
    # The escape is the only way in for NUL, which PostgreSQL cannot store.
    if not body or b"\\u0000" in body:
        return None
    try:
        document = parse(body)
        if not isinstance(document, dict):
            return None
        msgspec.convert(document, flat if form_of(document) == FLAT else nested)
    except (AmbiguousJSON, msgspec.ValidationError):
        return None
    return document
