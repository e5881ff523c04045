"""Issuing and verifying, for the edge and the views alike."""

from core import bridge
from core.edge import Reply
from core.scoping import Caller
from receipts import drafts, server_keys, verification
from receipts.schemas import NestedDraft, ReceiptDraft, SignedReceipt


async def issue(caller: Caller, draft: ReceiptDraft) -> Reply:
    """Return the signed receipt of a draft. Raises NoSigningKey, InvalidInput."""
    key = server_keys.cached_signing_key()
    form = draft.root
    # The registry's prices may take a query.
    is_quick = key is not None and not (isinstance(form, NestedDraft) and not form.cost_is_complete)
    text = _sign(draft, key) if is_quick else await bridge.in_thread(_sign, draft)
    return Reply(text)


async def verify(receipt: SignedReceipt) -> dict:
    """Return the verdict on a receipt."""
    trusted = server_keys.cached_trusted()
    if trusted is None:
        trusted = await bridge.in_thread(server_keys.trusted)
    return verification.verdict(receipt.document, trusted)


def _sign(draft: ReceiptDraft, key=None) -> bytes:
    return drafts.issue_receipt(draft, key or server_keys.signing_key()).text
