"""From a validated draft to the signed receipt. Nothing is stored.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from conversations.models import DEFAULT_ALIAS
from core.errors import InvalidInput, issue
from receipts import calculations, signing
from receipts.documents import NotCanonical
from receipts.draft_schemas import FlatDraft, NestedDraft
from receipts.keys import SigningKey
from receipts.schemas import ReceiptDraft
from usage.models import DEFAULT_PROFILE


class Signed(NamedTuple):
    """A signed document, and its text as it is returned and stored."""

    document: dict
    text: bytes


def new_receipt_id() -> str:
    return f"rcpt_{secrets.token_hex(8)}"


def format_time(moment: datetime) -> str:
    """Return a UTC time as receipts write it."""
    return moment.isoformat().replace("+00:00", "Z")


def issue_receipt(draft: ReceiptDraft, key: SigningKey, project_id: UUID) -> Signed:
    """Return the signed receipt for a draft. Raises InvalidInput for what JCS cannot carry."""
    form = draft.root
    if isinstance(form, FlatDraft):
        return sign(flat_document(form), key)
    return sign(nested_document(form, key.id, project_id), key)


def sign(document: dict, key: SigningKey) -> Signed:
    """Return the document with its signature. Raises InvalidInput for what JCS cannot carry."""
    try:
        text, signature = signing.signed_text(document, key)
    except NotCanonical as error:
        raise InvalidInput([issue("not_canonical", ["body"], str(error), None)]) from None
    return Signed({**document, "signature": signature}, text)


def flat_document(draft: FlatDraft) -> dict:
    """Return the unsigned document: with exactly the thirteen base members."""
    return {
        "receipt_id": draft.receipt_id or new_receipt_id(),
        "timestamp": draft.timestamp or format_time(datetime.now(UTC)),
        "alias": draft.alias,
        "profile": draft.profile or DEFAULT_PROFILE,
        "lock_digest": draft.lock_digest or "",
        "provider": draft.provider,
        "model": draft.model,
        "prompt_tokens": draft.prompt_tokens,
        "completion_tokens": draft.completion_tokens,
        "total_tokens": draft.total_tokens,
        "input_cost": draft.input_cost,
        "output_cost": draft.output_cost,
        "total_cost": draft.total_cost,
    }


def nested_document(draft: NestedDraft, key_id: str, project_id: UUID) -> dict:
    """Return the unsigned document. Stated values and unknown members stay as they were sent."""
    members = draft.signed_members()
    return {
        **members,
        "id": draft.id or new_receipt_id(),
        "timestamp": draft.timestamp or format_time(datetime.now(UTC)),
        "alias": draft.alias or DEFAULT_ALIAS,
        "profile": draft.profile or DEFAULT_PROFILE,
        "lock_digest": draft.lock_digest or "",
        # Like the signature, it is the server's to set.
        "key_id": key_id,
        "cost": {
            **(members.get("cost") or {}),
            **calculations.complete_cost(draft, project_id),
        },
    }
