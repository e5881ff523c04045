"""Issue and verify receipts, for the edge and the views alike."""

from core import bridge
from core.edge import Reply
from core.scoping import Caller
from receipts import drafts, server_keys, verification
from receipts.keys import SigningKey
from receipts.schemas import ReceiptDraft, SignedReceipt


async def issue(caller: Caller, draft: ReceiptDraft) -> Reply:
    """Return the signed receipt of a draft. Raises UnusableSigningKey, InvalidInput."""
    if draft.is_complete and (key := server_keys.cached_signing_key()):
        return _issue(caller, draft, key)
    # Keys and prices may take queries.
    return await bridge.in_thread(lambda: _issue(caller, draft, server_keys.signing_key()))


def _issue(caller: Caller, draft: ReceiptDraft, key: SigningKey) -> Reply:
    return Reply(drafts.issue_receipt(draft, key, caller.project_id).text)


async def verify(receipt: SignedReceipt) -> dict:
    """Return the verdict on a receipt."""
    trusted = server_keys.cached_trusted()
    if trusted is None:
        trusted = await bridge.in_thread(server_keys.trusted)
    return verification.verdict(receipt.document, trusted)
