"""From what a caller states to a signed receipt. Nothing is stored here.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple

from core.errors import InvalidInput, issue
from receipts import bodies, pricing, signing
from receipts.canonical import NotCanonical, canonical
from receipts.forms import BASE_FIELDS, FLAT, form_of
from receipts.keys import SigningKey
from receipts.serializers import FlatDraft, NestedDraft

# Members of plain usage details that the nested form has a place for.
_DETAILS = ("input_tokens", "output_tokens", "cached_input_tokens")


class Signed(NamedTuple):
    """A signed document, and its text: the one that is returned and stored."""

    document: dict
    text: bytes


def new_id() -> str:
    return f"rcpt_{secrets.token_hex(8)}"


def now_text() -> str:
    return time_text(datetime.now(UTC))


def time_text(moment: datetime) -> str:
    """A UTC time as receipts spell it."""
    return moment.isoformat().replace("+00:00", "Z")


def sign(document: dict, key: SigningKey) -> Signed:
    """The document with its signature. Raises InvalidInput for what JCS cannot carry."""
    try:
        signature = signing.sign(document, key)
        document = {**document, "signature": signature}
        return Signed(document, canonical(document))
    except NotCanonical as error:
        raise InvalidInput([issue("not_canonical", ["body"], str(error), None)]) from None


def flat(given: dict) -> dict:
    """The flat document that is signed for a draft; `given` is what FlatDraft makes of it.

    Exactly the thirteen members that every generation of clients knows.
    """
    return {
        "receipt_id": given.get("receipt_id") or new_id(),
        "timestamp": given.get("timestamp") or now_text(),
        "alias": given["alias"],
        "profile": given.get("profile") or "default",
        "lock_digest": given.get("lock_digest") or "",
        "provider": given["provider"],
        "model": given["model"],
        "prompt_tokens": given["prompt_tokens"],
        "completion_tokens": given["completion_tokens"],
        "total_tokens": given["total_tokens"],
        "input_cost": given["input_cost"],
        "output_cost": given["output_cost"],
        "total_cost": given["total_cost"],
    }


def nested(draft: dict, given: dict, key_id: str) -> dict:
    """The nested document that is signed for `draft`; `given` is what NestedDraft makes of it.

    Members that we do not know stay as they are. What the caller states stays as
    it was written; an amount that is left to us is decimal text.
    """
    cost = {
        name: value
        for name, value in (given.get("cost") or {}).items()
        if value not in (None, "") or name == "calculation" and value == ""
    }
    if cost.get("calculation") is None or "amount" not in cost:
        cost = pricing.completed(cost, given)
    return {
        **{name: value for name, value in draft.items() if name != "signature"},
        **{name: value for name, value in given.items() if value is not None},
        "id": given.get("id") or new_id(),
        "timestamp": given.get("timestamp") or now_text(),
        "alias": given.get("alias") or "default",
        "profile": given.get("profile") or "default",
        "lock_digest": given.get("lock_digest") or "",
        # Set by who signs, like the signature: it names the key that did.
        "key_id": key_id,
        "tokens": {
            **draft["tokens"],
            **given["tokens"],
            "cached_input": given["tokens"].get("cached_input") or 0,
        },
        "cost": {**(draft.get("cost") or {}), **cost},
    }


def in_nested_form(draft: dict) -> dict:
    """The draft with plain usage details (`input_tokens`, a bare `cost`) put in their places."""
    if not isinstance(draft.get("cost"), dict | None):
        draft = {**draft, "cost": {"amount": draft["cost"]}}
    if "tokens" in draft or not draft.keys() & set(_DETAILS):
        return draft
    moved = {name.removesuffix("_tokens"): draft[name] for name in _DETAILS if name in draft}
    kept = {name: value for name, value in draft.items() if name not in _DETAILS}
    return {**kept, "tokens": moved}


def issue_receipt(draft: dict, place: list, key: SigningKey) -> Signed:
    """The signed receipt for a draft in either form; `place` is where the body has it.

    Raises InvalidInput.
    """
    if form_of(draft) == FLAT:
        return sign(flat(bodies.checked(FlatDraft, draft, place)), key)
    draft = in_nested_form(draft)
    return sign(nested(draft, bodies.checked(NestedDraft, draft, place), key.id), key)


def stated(draft: dict) -> dict:
    """The members of a draft that its receipt takes over."""
    if form_of(draft) == FLAT:
        return {name: value for name, value in draft.items() if name in BASE_FIELDS}
    return in_nested_form(draft)
