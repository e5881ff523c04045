"""Store receipts: an id of a project permanently names one document.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

from django.db import connection

from core.errors import DomainError
from core.schemas import decimal, twelve_places
from core.scoping import Caller
from receipts import server_keys, verification
from receipts.amounts import parse_time
from receipts.documents import FLAT, NESTED, canonical
from receipts.drafts import Signed, issue_receipt
from receipts.models import Receipt
from receipts.schemas import (
    FlatReceipt,
    NestedReceipt,
    ReceiptDraft,
    ReceiptToStore,
    SignedReceipt,
)


class InvalidSignature(DomainError):
    code = "invalid_signature"

    def __init__(self, reason: str) -> None:
        suffix = "" if reason == verification.MISMATCH else f": {reason}"
        super().__init__(f"Invalid receipt signature{suffix}")


class ReceiptIdTaken(DomainError):
    status_code = 409
    code = "receipt_id_taken"

    def __init__(self) -> None:
        super().__init__("A different receipt with this id is stored already")


def store(body: ReceiptToStore, caller: Caller) -> tuple[Receipt, str]:
    """Store a receipt; return its row and whether it was `verified` or `issued`.

    Storing the same again returns the first row. Raises InvalidInput,
    InvalidSignature, ReceiptIdTaken, UnusableSigningKey.
    """
    if isinstance(body.root, SignedReceipt):
        return _store_signed(body.root, caller), "verified"
    return _store_draft(body.root, caller), "issued"


def _store_signed(receipt: SignedReceipt, caller: Caller) -> Receipt:
    document = receipt.document
    try:
        key = verification.verify(document, server_keys.trusted()).key
    except verification.NotValid as error:
        raise InvalidSignature(str(error)) from None
    row = row_of(receipt.root, canonical(document), key.id, caller)
    if insert(row):
        return row
    stored = _with_same_id(row, caller)
    if stored.document != row.document:
        raise ReceiptIdTaken
    return stored


def _store_draft(draft: ReceiptDraft, caller: Caller) -> Receipt:
    """Store the completed and signed draft; return its row.

    A retry is completed again, with another time for instance. It returns the first row if
    that agrees in every member of the draft.
    """
    key = server_keys.signing_key()
    signed = issue_receipt(draft, key, caller.project_id)
    row = issued_row(signed, key.id, caller)
    if insert(row):
        return row
    stored = _with_same_id(row, caller)
    if not _agree(stored.content, row.content, draft.stated_members()):
        raise ReceiptIdTaken
    return stored


def _with_same_id(row: Receipt, caller: Caller) -> Receipt:
    return Receipt.objects.for_caller(caller).get(receipt_id=row.receipt_id)


def _agree(first: dict, second: dict, stated: dict) -> bool:
    """Return whether two documents are equal in all members of `stated`, at any depth."""
    return all(
        _agree(first[name], second[name], value)
        if isinstance(value, dict)
        and isinstance(first.get(name), dict)
        and isinstance(second.get(name), dict)
        else value in (None, "") or first.get(name) == second.get(name)
        for name, value in stated.items()
    )


def insert(row: Receipt) -> bool:
    """Insert the row and return True; return False if its id is taken."""
    with connection.cursor() as cursor:
        # By hand: the ORM's ignore_conflicts does not tell whether there was a conflict.
        fields = row._meta.concrete_fields
        values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
        cursor.execute(
            f"INSERT INTO receipts ({', '.join(field.column for field in fields)}) "
            f"VALUES ({', '.join(['%s'] * len(fields))}) "
            "ON CONFLICT (project_id, receipt_id) DO NOTHING",
            values,
        )
        return cursor.rowcount == 1


def issued_row(signed: Signed, key_id: str, caller: Caller) -> Receipt:
    """Return the unsaved row of a receipt that this server has signed."""
    receipt = SignedReceipt.model_validate(signed.document).root
    return row_of(receipt, signed.text, key_id, caller)


def row_of(
    receipt: FlatReceipt | NestedReceipt, text: bytes, key_id: str, caller: Caller
) -> Receipt:
    """Return the unsaved row of a signed receipt and its text."""
    if isinstance(receipt, NestedReceipt):
        columns = {
            "form": NESTED,
            "receipt_id": receipt.id,
            "receipt_type": "single",
            "total_tokens": receipt.tokens.input + receipt.tokens.output,
            "total_cost": twelve_places(decimal(receipt.cost.amount)),
        }
    else:
        columns = {
            "form": FLAT,
            "receipt_id": receipt.receipt_id,
            "receipt_type": receipt.receipt_type or "single",
            "total_tokens": receipt.total_tokens,
            "total_cost": twelve_places(decimal(receipt.total_cost)),
        }
    return Receipt(
        **caller.columns(),
        **columns,
        timestamp=parse_time(receipt.timestamp),
        alias=receipt.alias or "",
        profile=receipt.profile or "",
        provider=receipt.provider or "",
        model=receipt.model,
        key_id=key_id,
        document=text.decode(),
    )
