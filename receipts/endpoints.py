"""Issue and verify receipts, for the edge and the views alike."""

from typing import Any

from core import bridge
from core.edge import Reply
from core.scoping import Caller
from receipts import drafts, server_keys, verification
from receipts.keys import SigningKey
from receipts.schemas import ReceiptDraft, SignedReceipt

# Reading, copying and writing a thousand values takes the event loop two milliseconds.
_MAX_VALUES_ON_LOOP = 1_000
_MAX_CHARACTERS_ON_LOOP = 32 * 1024


async def issue(caller: Caller, draft: ReceiptDraft) -> Reply:
    """Return the signed receipt of a draft. Raises UnusableSigningKey, InvalidInput."""
    if draft.is_complete and (key := server_keys.cached_signing_key()) and _is_small(draft.root):
        return _issue(caller, draft, key)
    # Keys and prices may take queries.
    return await bridge.in_thread(lambda: _issue(caller, draft, server_keys.signing_key()))


def _issue(caller: Caller, draft: ReceiptDraft, key: SigningKey) -> Reply:
    return Reply(drafts.issue_receipt(draft, key, caller.project_id).text)


async def verify(receipt: SignedReceipt) -> dict:
    """Return the verdict on a receipt."""
    document, trusted = receipt.document, server_keys.cached_trusted()
    if trusted is not None and _is_small(document):
        return verification.verdict(document, trusted)
    return await bridge.in_thread(lambda: verification.verdict(document, server_keys.trusted()))


def _is_small(receipt: object) -> bool:
    """Return whether signing or verifying the receipt takes the event loop no time to speak of."""
    values: list[Any] = [receipt]
    characters = 0
    for value in values:  # which grows meanwhile
        kind = type(value)
        if kind is str:
            characters += len(value)
        elif kind is dict or kind is list:
            if len(values) + len(value) > _MAX_VALUES_ON_LOOP:
                return False
            if kind is dict:
                characters += len("".join(value))
                value = value.values()
            values += value
        elif hasattr(value, "model_extra"):
            values += (value.__dict__, value.model_extra)
    return characters <= _MAX_CHARACTERS_ON_LOOP
