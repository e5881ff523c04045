"""Receipts on disk: an id of a project names one document, for good.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

from decimal import Decimal

from django.db import connection

from core.errors import DomainError
from core.scoping import Caller
from receipts import keyring, verification
from receipts.canonical import canonical
from receipts.forms import FLAT, NESTED, form_of
from receipts.issuing import Signed
from receipts.models import Receipt
from receipts.serializers import moment

_PLACES = Decimal(1).scaleb(-12)


class InvalidSignature(DomainError):
    code = "invalid_signature"

    def __init__(self, reason: str) -> None:
        exact = "" if reason == verification.MISMATCH else f": {reason}"
        super().__init__(f"Invalid receipt signature{exact}")


class ReceiptIdTaken(DomainError):
    status_code = 409
    code = "receipt_id_taken"

    def __init__(self) -> None:
        super().__init__("A different receipt with this id is stored already")


def verified(document: dict) -> tuple[Signed, str]:
    """The signed document ready to be stored, and the id of its key. Raises InvalidSignature."""
    try:
        found = verification.verify(document, keyring.known())
    except verification.NotValid as error:
        raise InvalidSignature(str(error)) from None
    return Signed(document, canonical(document)), found.key.id


def store(row: Receipt, caller: Caller) -> Receipt:
    """The stored receipt; the one that is there already when it is the same document.

    Raises ReceiptIdTaken.
    """
    if insert(row):
        return row
    first = _first(row, caller)
    if first.document != row.document:
        raise ReceiptIdTaken
    return first


def store_issued(row: Receipt, caller: Caller, *, stated: dict) -> Receipt:
    """The same for a receipt that we completed and signed.

    A retry is completed anew, with another time for instance: it finds the first
    one if that agrees in everything that the caller `stated`. Raises ReceiptIdTaken.
    """
    if insert(row):
        return row
    first = _first(row, caller)
    if not _agree(first.content, row.content, stated):
        raise ReceiptIdTaken
    return first


def _first(row: Receipt, caller: Caller) -> Receipt:
    return Receipt.objects.for_caller(caller).get(receipt_id=row.receipt_id)


def _agree(first: dict, second: dict, stated: dict) -> bool:
    """Whether the documents are equal in all that was stated, deep down."""
    return all(
        _agree(first[name], second[name], value)
        if isinstance(value, dict)
        and isinstance(first.get(name), dict)
        and isinstance(second.get(name), dict)
        else value in (None, "") or first.get(name) == second.get(name)
        for name, value in stated.items()
        if name not in ("signature", "key_id")
    )


def insert(row: Receipt) -> bool:
    """Write the row unless its id is taken; whether it was written."""
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


def row_of(signed: Signed, facts: dict, key_id: str, caller: Caller) -> Receipt:
    """The row of a document, not yet written; `facts` are its members, checked."""
    if form_of(signed.document) == NESTED:
        form, columns = NESTED, _nested_columns(facts)
    else:
        form, columns = FLAT, _flat_columns(facts)
    return Receipt(
        **caller.columns(),
        **columns,
        form=form,
        timestamp=moment(facts["timestamp"]),
        alias=facts.get("alias") or "",
        profile=facts.get("profile") or "",
        provider=facts.get("provider") or "",
        model=facts["model"],
        key_id=key_id,
        document=signed.text.decode(),
    )


def _nested_columns(facts: dict) -> dict:
    return {
        "receipt_id": facts["id"],
        "receipt_type": "single",
        "total_tokens": facts["tokens"]["input"] + facts["tokens"]["output"],
        "total_cost": _money(facts["cost"]["amount"]),
    }


def _flat_columns(facts: dict) -> dict:
    return {
        "receipt_id": facts["receipt_id"],
        "receipt_type": facts.get("receipt_type") or "single",
        "total_tokens": facts["total_tokens"],
        "total_cost": _money(facts["total_cost"]),
    }


def _money(amount: float | str) -> Decimal:
    return Decimal(str(amount)).quantize(_PLACES)
