"""Store receipts: an id of a project names one document, for good.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

from decimal import Decimal

from django.db import connection

from core.errors import DomainError
from core.scoping import Caller
from receipts import server_keys, verification
from receipts.documents import BASE_MEMBERS, FLAT, NESTED, canonical, form_of
from receipts.drafts import Signed, in_nested_form, issue_receipt
from receipts.models import Receipt
from receipts.serializers import moment

_PLACES = Decimal(1).scaleb(-12)


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


def store_signed(document: dict, members: dict, caller: Caller) -> Receipt:
    """Store a signed receipt, given its validated members, and return its row.

    The same document again returns the first row. Raises InvalidSignature, ReceiptIdTaken.
    """
    try:
        key = verification.verify(document, server_keys.trusted()).key
    except verification.NotValid as error:
        raise InvalidSignature(str(error)) from None
    row = row_of(Signed(document, canonical(document)), members, key.id, caller)
    if insert(row):
        return row
    stored = _with_same_id(row, caller)
    if stored.document != row.document:
        raise ReceiptIdTaken
    return stored


def store_draft(draft: dict, place: list, caller: Caller) -> Receipt:
    """Issue a receipt for a draft, store it and return its row.

    A retry is completed anew, with another time for instance: it returns the
    first row if that agrees in every member of the draft. Raises InvalidInput,
    ReceiptIdTaken, UnusableSigningKey.
    """
    key = server_keys.signing_key()
    signed = issue_receipt(draft, place, key)
    row = row_of(signed, signed.document, key.id, caller)
    if insert(row):
        return row
    stored = _with_same_id(row, caller)
    if not _agree(stored.content, row.content, _signed_members(draft)):
        raise ReceiptIdTaken
    return stored


def _with_same_id(row: Receipt, caller: Caller) -> Receipt:
    return Receipt.objects.for_caller(caller).get(receipt_id=row.receipt_id)


def _signed_members(draft: dict) -> dict:
    """Return the members of a draft that are signed as the caller wrote them."""
    if form_of(draft) == FLAT:
        return {name: value for name, value in draft.items() if name in BASE_MEMBERS}
    return {
        name: value
        for name, value in in_nested_form(draft).items()
        if name not in ("signature", "key_id")
    }


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


def row_of(signed: Signed, members: dict, key_id: str, caller: Caller) -> Receipt:
    """Return the unsaved row of a document, given its validated members."""
    if form_of(signed.document) == NESTED:
        columns = {
            "form": NESTED,
            "receipt_id": members["id"],
            "receipt_type": "single",
            "total_tokens": members["tokens"]["input"] + members["tokens"]["output"],
            "total_cost": _money(members["cost"]["amount"]),
        }
    else:
        columns = {
            "form": FLAT,
            "receipt_id": members["receipt_id"],
            "receipt_type": members.get("receipt_type") or "single",
            "total_tokens": members["total_tokens"],
            "total_cost": _money(members["total_cost"]),
        }
    return Receipt(
        **caller.columns(),
        **columns,
        timestamp=moment(members["timestamp"]),
        alias=members.get("alias") or "",
        profile=members.get("profile") or "",
        provider=members.get("provider") or "",
        model=members["model"],
        key_id=key_id,
        document=signed.text.decode(),
    )


def _money(amount: float | str) -> Decimal:
    return Decimal(str(amount)).quantize(_PLACES)
