"""Issue and store receipts: an id of a project names one document, for good.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from conversations.hooks import FinishedCall
from core.errors import DomainError, InvalidInput, issue
from core.scoping import Caller
from receipts import bodies, calculations, server_keys, signing, verification
from receipts.documents import (
    BASE_MEMBERS,
    FLAT,
    MAX_INTEGER,
    NESTED,
    NotCanonical,
    canonical,
    form_of,
)
from receipts.keys import SigningKey
from receipts.models import Receipt, ReceiptLog
from receipts.serializers import FlatDraft, NestedDraft, moment
from registry_proxy.prices import Tokens

_PLACES = Decimal(1).scaleb(-12)
# Members of plain usage details that have a place in the nested form.
_USAGE_DETAILS = ("input_tokens", "output_tokens", "cached_input_tokens")


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


class Signed(NamedTuple):
    """A signed document, and its text as it is returned and stored."""

    document: dict
    text: bytes


def new_receipt_id() -> str:
    return f"rcpt_{secrets.token_hex(8)}"


def format_time(moment: datetime) -> str:
    """Return a UTC time as receipts write it."""
    return moment.isoformat().replace("+00:00", "Z")


def sign(document: dict, key: SigningKey) -> Signed:
    """Return the document with its signature. Raises InvalidInput for what JCS cannot carry."""
    try:
        document = {**document, "signature": signing.sign(document, key)}
        return Signed(document, canonical(document))
    except NotCanonical as error:
        raise InvalidInput([issue("not_canonical", ["body"], str(error), None)]) from None


def issue_receipt(draft: dict, place: list, key: SigningKey) -> Signed:
    """Return the signed receipt for a draft in either form; `place` is where the body has it.

    Raises InvalidInput.
    """
    if form_of(draft) == FLAT:
        return sign(flat_document(bodies.checked(FlatDraft, draft, place)), key)
    draft = in_nested_form(draft)
    members = bodies.checked(NestedDraft, draft, place)
    return sign(nested_document(draft, members, key.id), key)


def flat_document(members: dict) -> dict:
    """Return the unsigned flat document for the validated members of a draft.

    It has exactly the thirteen members that every generation of clients knows.
    """
    return {
        "receipt_id": members.get("receipt_id") or new_receipt_id(),
        "timestamp": members.get("timestamp") or format_time(datetime.now(UTC)),
        "alias": members["alias"],
        "profile": members.get("profile") or "default",
        "lock_digest": members.get("lock_digest") or "",
        "provider": members["provider"],
        "model": members["model"],
        "prompt_tokens": members["prompt_tokens"],
        "completion_tokens": members["completion_tokens"],
        "total_tokens": members["total_tokens"],
        "input_cost": members["input_cost"],
        "output_cost": members["output_cost"],
        "total_cost": members["total_cost"],
    }


def nested_document(draft: dict, members: dict, key_id: str) -> dict:
    """Return the unsigned nested document for a draft and its validated members.

    Unknown members stay as they are, stated values as they were written; an
    amount that the server computes is decimal text.
    """
    cost = {
        name: value
        for name, value in (members.get("cost") or {}).items()
        if value not in (None, "") or name == "calculation" and value == ""
    }
    if cost.get("calculation") is None or "amount" not in cost:
        cost = calculations.complete_cost(cost, members)
    return {
        **{name: value for name, value in draft.items() if name != "signature"},
        **{name: value for name, value in members.items() if value is not None},
        "id": members.get("id") or new_receipt_id(),
        "timestamp": members.get("timestamp") or format_time(datetime.now(UTC)),
        "alias": members.get("alias") or "default",
        "profile": members.get("profile") or "default",
        "lock_digest": members.get("lock_digest") or "",
        # Like the signature, it is the server's to set.
        "key_id": key_id,
        "tokens": {
            **draft["tokens"],
            **members["tokens"],
            "cached_input": members["tokens"].get("cached_input") or 0,
        },
        "cost": {**(draft.get("cost") or {}), **cost},
    }


def in_nested_form(draft: dict) -> dict:
    """Return the draft with plain usage details (`input_tokens`, a bare `cost`) in their places."""
    if not isinstance(draft.get("cost"), dict | None):
        draft = {**draft, "cost": {"amount": draft["cost"]}}
    if "tokens" in draft or not draft.keys() & set(_USAGE_DETAILS):
        return draft
    tokens = {name.removesuffix("_tokens"): draft[name] for name in _USAGE_DETAILS if name in draft}
    rest = {name: value for name, value in draft.items() if name not in _USAGE_DETAILS}
    return {**rest, "tokens": tokens}


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


def issue_for_call(call: FinishedCall, caller: Caller) -> dict | None:
    """Store a flat receipt of a call that `POST /conversations/log` is storing, and return it.

    It counts as certification of the conversation. Runs in the caller's
    transaction, so there is never one without the other. Returns None without
    a signing key, and for numbers that no receipt can state: the call is worth
    more than its receipt. Source: docs/http-contract/receipts.md, "Receipts of logged calls".
    """
    if server_keys.configured().signing is None:
        return None
    input_cost, output_cost, total = _costs(call)
    if max(total, call.input_tokens + call.output_tokens) > MAX_INTEGER:
        return None
    key = server_keys.signing_key()
    document = flat_document(
        {
            "timestamp": format_time(call.at),
            "alias": call.alias or "default",
            "profile": call.profile,
            "lock_digest": call.lock_digest,
            "provider": call.provider,
            "model": call.model,
            "prompt_tokens": call.input_tokens,
            "completion_tokens": call.output_tokens,
            "total_tokens": call.input_tokens + call.output_tokens,
            "input_cost": float(input_cost),
            "output_cost": float(output_cost),
            "total_cost": float(total),
        }
    )
    signed = sign(document, key)
    row = row_of(signed, document, key.id, caller)
    insert(row)
    ReceiptLog.objects.create(
        project_id=caller.project_id,
        receipt=row,
        log_id=call.conversation_id,
        log_type="conversation",
        counted=True,
        since_last=False,
        certified_at=call.at,
    )
    return signed.document


def _costs(call: FinishedCall) -> tuple[Decimal, Decimal, Decimal]:
    """Return the input's part, the output's part and the whole; zero if nothing is known."""
    total = call.cost or Decimal(0)
    if call.input_cost is not None and call.output_cost is not None:
        return call.input_cost, call.output_cost, total
    tokens = Tokens(
        call.input_tokens, call.output_tokens, min(call.cached_tokens, call.input_tokens)
    )
    part = calculations.input_cost(total, call.provider, call.model, tokens)
    return part, total - part, total
