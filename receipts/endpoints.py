"""Issue and verify receipts, for the edge and the views alike."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

from core import bridge, memory
from core.edge import Reply
from core.scoping import Caller
from receipts import drafts, server_keys, verification
from receipts.keys import SigningKey
from receipts.schemas import ReceiptDraft, SignedReceipt

# Reading, copying and writing a thousand values takes the event loop two milliseconds.
_MAX_VALUES_ON_LOOP = 1_000
_MAX_CHARACTERS_ON_LOOP = 32 * 1024
_T = TypeVar("_T")


async def issue(caller: Caller, draft: ReceiptDraft) -> Reply:
    """Return the signed receipt of a draft. Raises UnusableSigningKey, InvalidInput."""
    is_small = _is_small(draft.root)
    if is_small and draft.is_complete and (key := server_keys.cached_signing_key()):
        return _issue(caller, draft, key)
    # Keys and prices may take queries.
    return await _in_thread(
        lambda: _issue(caller, draft, server_keys.signing_key()), is_small=is_small
    )


def _issue(caller: Caller, draft: ReceiptDraft, key: SigningKey) -> Reply:
    return Reply(drafts.issue_receipt(draft, key, caller.project_id).text)


async def verify(receipt: SignedReceipt) -> dict:
    """Return the verdict on a receipt."""
    document, trusted = receipt.document, server_keys.cached_trusted()
    is_small = _is_small(document)
    if is_small and trusted is not None:
        return verification.verdict(document, trusted)
    return await _in_thread(
        lambda: verification.verdict(document, server_keys.trusted()), is_small=is_small
    )


async def _in_thread(function: Callable[[], _T], *, is_small: bool) -> _T:
    """Return what the function returns; garbage collections would look at a large receipt's copies.

    They take a hundred milliseconds, in which no other thread runs.
    """
    with nullcontext() if is_small else memory.gc_paused():
        return await bridge.in_thread(function)


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
