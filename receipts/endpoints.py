"""Issue and verify receipts, for the edge and the views alike."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from core import bridge, memory
from core.edge_replies import Reply
from core.edge_request import Request
from core.scoping import Caller
from receipts import drafts, server_keys, verification
from receipts.keys import SigningKey
from receipts.schemas import ReceiptDraft, SignedReceipt

_MAX_ON_LOOP = 8 * 1024  # bytes of a receipt: more take the event loop over two milliseconds
_T = TypeVar("_T")


def size_of(request: Request) -> dict[str, bool]:
    """Return whether the receipt that was sent is small, for the two below."""
    return {"is_small": request.body_size <= _MAX_ON_LOOP}


async def issue(caller: Caller, draft: ReceiptDraft, *, is_small: bool = False) -> Reply:
    """Return the signed receipt of a draft. Raises UnusableSigningKey, InvalidInput."""
    if is_small and draft.is_complete and (key := server_keys.cached_signing_key()):
        return _issue(caller, draft, key)
    # Keys and prices may take queries.
    return await _in_thread(
        lambda: _issue(caller, draft, server_keys.signing_key()), is_small=is_small
    )


def _issue(caller: Caller, draft: ReceiptDraft, key: SigningKey) -> Reply:
    return Reply(drafts.issue_receipt(draft, key, caller.project_id).text)


async def verify(receipt: SignedReceipt, *, is_small: bool = False) -> dict:
    """Return the verdict on a receipt."""
    if is_small and (trusted := server_keys.cached_trusted()) is not None:
        return verification.verdict(receipt.document, trusted)
    return await _in_thread(
        lambda: verification.verdict(receipt.document, server_keys.trusted()), is_small=is_small
    )


async def _in_thread(function: Callable[[], _T], *, is_small: bool) -> _T:
    """Return the function's result, with garbage collection paused for a large receipt.

    Collections would scan its copies for a hundred milliseconds, in which no other thread runs.
    """
    with nullcontext() if is_small else memory.gc_paused():
        return await bridge.in_thread(function)
