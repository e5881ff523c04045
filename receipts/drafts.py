"""From the draft that a caller sends to the document that is signed. Nothing is stored.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple

from core.errors import InvalidInput, issue
from receipts import bodies, calculations, signing
from receipts.documents import FLAT, NotCanonical, canonical, form_of
from receipts.keys import SigningKey
from receipts.serializers import FlatDraft, NestedDraft

# Members of plain usage details that have a place in the nested form.
_USAGE_DETAILS = ("input_tokens", "output_tokens", "cached_input_tokens")


class Signed(NamedTuple):
    """A signed document, and its text as it is returned and stored."""

    document: dict
    text: bytes


def new_receipt_id() -> str:
    return f"rcpt_{secrets.token_hex(8)}"


def format_time(moment: datetime) -> str:
    """Return a UTC time as receipts write it."""
    return moment.isoformat().replace("+00:00", "Z")


def sign(document: dict, key: SigningKey) -> Signed:
    """Return the document with its signature. Raises InvalidInput for what JCS cannot carry."""
    try:
        document = {**document, "signature": signing.sign(document, key)}
        return Signed(document, canonical(document))
    except NotCanonical as error:
        raise InvalidInput([issue("not_canonical", ["body"], str(error), None)]) from None


def issue_receipt(draft: dict, place: list, key: SigningKey) -> Signed:
    """Return the signed receipt for a draft in either form; `place` is where the body has it.

    Raises InvalidInput.
    """
    if form_of(draft) == FLAT:
        return sign(flat_document(bodies.checked(FlatDraft, draft, place)), key)
    draft = in_nested_form(draft)
    members = bodies.checked(NestedDraft, draft, place)
    return sign(nested_document(draft, members, key.id), key)


def flat_document(members: dict) -> dict:
    """Return the unsigned flat document for the validated members of a draft.

    It has exactly the thirteen members that every generation of clients knows.
    """
    return {
        "receipt_id": members.get("receipt_id") or new_receipt_id(),
        "timestamp": members.get("timestamp") or format_time(datetime.now(UTC)),
        "alias": members["alias"],
        "profile": members.get("profile") or "default",
        "lock_digest": members.get("lock_digest") or "",
        "provider": members["provider"],
        "model": members["model"],
        "prompt_tokens": members["prompt_tokens"],
        "completion_tokens": members["completion_tokens"],
        "total_tokens": members["total_tokens"],
        "input_cost": members["input_cost"],
        "output_cost": members["output_cost"],
        "total_cost": members["total_cost"],
    }


def nested_document(draft: dict, members: dict, key_id: str) -> dict:
    """Return the unsigned nested document for a draft and its validated members.

    Unknown members stay as they are, stated values as they were written; an
    amount that the server computes is decimal text.
    """
    cost = {
        name: value
        for name, value in (members.get("cost") or {}).items()
        if value not in (None, "") or name == "calculation" and value == ""
    }
    if cost.get("calculation") is None or "amount" not in cost:
        cost = calculations.complete_cost(cost, members)
    return {
        **{name: value for name, value in draft.items() if name != "signature"},
        **{name: value for name, value in members.items() if value is not None},
        "id": members.get("id") or new_receipt_id(),
        "timestamp": members.get("timestamp") or format_time(datetime.now(UTC)),
        "alias": members.get("alias") or "default",
        "profile": members.get("profile") or "default",
        "lock_digest": members.get("lock_digest") or "",
        # Like the signature, it is the server's to set.
        "key_id": key_id,
        "tokens": {
            **draft["tokens"],
            **members["tokens"],
            "cached_input": members["tokens"].get("cached_input") or 0,
        },
        "cost": {**(draft.get("cost") or {}), **cost},
    }


def in_nested_form(draft: dict) -> dict:
    """Return the draft with plain usage details (`input_tokens`, a bare `cost`) in their places."""
    if not isinstance(draft.get("cost"), dict | None):
        draft = {**draft, "cost": {"amount": draft["cost"]}}
    if "tokens" in draft or not draft.keys() & set(_USAGE_DETAILS):
        return draft
    tokens = {name.removesuffix("_tokens"): draft[name] for name in _USAGE_DETAILS if name in draft}
    rest = {name: value for name, value in draft.items() if name not in _USAGE_DETAILS}
    return {**rest, "tokens": tokens}
