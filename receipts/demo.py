"""Receipts of the demo project, signed by a key that is never stored."""

import os
from collections.abc import Sequence
from datetime import datetime

from conversations.models import DEFAULT_ALIAS
from core.schemas import twelve_places
from core.scoping import Caller
from receipts import services
from receipts.draft_schemas import FlatDraft
from receipts.drafts import flat_document, format_time, sign
from receipts.keys import SigningKey
from receipts.models import LogType, Receipt, ReceiptKey, ReceiptLog
from usage.ledger import LogRow

_KEY_PREFIX = "demo-"


def certify(caller: Caller, calls: Sequence[LogRow], *, now: datetime) -> None:
    """Store a receipt of each call. The signing key is made for this and forgotten afterwards.

    Its public half is listed, so that the receipts verify, until `forget_keys`.
    """
    key = SigningKey(os.urandom(32), f"{_KEY_PREFIX}{caller.project_id}")
    ReceiptKey.objects.create(key_id=key.id, public_key=key.public.raw)
    for call in calls:
        signed = sign(flat_document(_draft(call)), key)
        row = services.issued_row(signed, key.id, caller)
        services.insert(row)
        ReceiptLog.objects.create(
            project_id=caller.project_id,
            receipt=row,
            log_id=call.id,
            log_type=LogType.USAGE,
            counted=True,
            since_last=True,
            certified_at=now,
        )


def forget_keys(caller: Caller) -> None:
    """Delete the key that signed the project's demo receipts, once these are deleted."""
    if not Receipt.objects.for_caller(caller).exists():
        ReceiptKey.objects.filter(key_id=f"{_KEY_PREFIX}{caller.project_id}").delete()


def _draft(call: LogRow) -> FlatDraft:
    columns = call.columns
    prompt, completion = columns["input_tokens"], columns["output_tokens"]
    # A third for the prompt: what the parts were does not matter to anybody here.
    input_cost = twelve_places(call.cost / 3)
    return FlatDraft(
        timestamp=format_time(call.created_at),
        alias=columns.get("alias") or DEFAULT_ALIAS,
        profile=columns["profile"],
        provider=columns["provider"],
        model=columns["model"],
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        input_cost=float(input_cost),
        output_cost=float(call.cost - input_cost),
        total_cost=float(call.cost),
    )
