"""Issuing and verifying on the edge (core/edge.py).

Receipts are read by the views' schemas; what these refuse goes to the view,
which reports it.
"""

from typing import TypeVar

from rest_framework.exceptions import ParseError

from accounts.authentication import cached_caller
from core import media, schemas
from core.errors import InvalidInput
from core.fast_lane import Answer, body_of
from receipts import drafts, server_keys, verification
from receipts.schemas import NestedDraft, ReceiptDraft, SignedReceipt

Body = TypeVar("Body", ReceiptDraft, SignedReceipt)


def issue(environ: dict) -> Answer | None:
    """Sign a draft of a cached caller."""
    key = server_keys.cached_signing_key()
    if key is None or cached_caller(environ) is None:
        return None
    draft = _body(environ, ReceiptDraft)
    if draft is None or (isinstance(draft.root, NestedDraft) and not draft.root.cost_is_complete):
        return None  # the registry's prices may take a query
    try:
        return Answer(drafts.issue_receipt(draft, key).text)
    except InvalidInput:
        return None


def verify(environ: dict) -> Answer | None:
    """Return the verdict on a receipt."""
    trusted = server_keys.cached_trusted()
    receipt = None if trusted is None else _body(environ, SignedReceipt)
    if receipt is None:
        return None
    return Answer(media.dumps(verification.verdict(receipt.document, trusted)))


def _body(environ: dict, schema: type[Body]) -> Body | None:
    body = body_of(environ)
    if body is None:
        return None
    try:
        return schemas.parse(
            schema, body, content_type=environ.get("CONTENT_TYPE", ""), unique_members=True
        )
    except (InvalidInput, ParseError):
        return None
