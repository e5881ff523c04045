"""Issue and verify receipts, for the edge and the views alike."""

from core import bridge
from core.edge import Reply
from core.scoping import Caller
from receipts import drafts, server_keys, verification
from receipts.schemas import ReceiptDraft, SignedReceipt


async def issue(caller: Caller, draft: ReceiptDraft) -> Reply:
    """Return the signed receipt of a draft. Raises UnusableSigningKey, InvalidInput."""
    if draft.is_complete and server_keys.cached_signing_key():
        return _issue(caller, draft)
    return await bridge.in_thread(_issue, caller, draft)  # keys and prices may take queries


def _issue(caller: Caller, draft: ReceiptDraft) -> Reply:
    key = server_keys.signing_key()
    return Reply(drafts.issue_receipt(draft, key, caller.project_id).text)


async def verify(receipt: SignedReceipt) -> dict:
    """Return the verdict on a receipt."""
    trusted = server_keys.cached_trusted()
    if trusted is None:
        trusted = await bridge.in_thread(server_keys.trusted)
    return verification.verdict(receipt.document, trusted)
