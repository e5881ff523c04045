"""The receipt of a call that `POST /conversations/log` stores.

It is stored by the statement, or in the transaction, that stores the call: neither exists
without the other.
Source: docs/http-contract/receipts.md, section "Receipts of logged calls".
"""

from decimal import Decimal

from conversations.calls import FinishedCall, Issued, IssueReceipt
from conversations.models import DEFAULT_ALIAS
from conversations.storage import Attachment
from core import json_writer
from core.database import columns
from core.scoping import Caller
from receipts import calculations, server_keys, services
from receipts.documents import MAX_INTEGER
from receipts.draft_schemas import FlatDraft
from receipts.drafts import flat_document, format_time, sign
from receipts.models import LogType, Receipt, ReceiptLog

_INSERT = {
    model: columns.insert_sql(model._meta.db_table, columns.column_types(model))
    for model in (Receipt, ReceiptLog)
}


def issuer() -> IssueReceipt | None:
    """Return the function that issues receipts of logged calls; None without a signing key."""
    return issue if server_keys.configured().signing else None


def issue(call: FinishedCall, caller: Caller) -> Issued | None:
    """Return a flat receipt of the call, which is certified once both are stored.

    Return None for numbers that no receipt can state: the call is more important than its
    receipt.
    """
    draft = _draft(call)
    if draft is None or max(draft.total_cost, draft.total_tokens) > MAX_INTEGER:
        return None
    key = server_keys.signing_key()
    document = flat_document(draft)
    if call.cost is None:
        document["cost_source"] = "unpriced"  # the zeros beside it are no price
    signed = sign(document, key)
    receipt = services.issued_row(signed, key.id, caller)
    link = ReceiptLog(
        project_id=caller.project_id,
        receipt=receipt,
        log_id=call.conversation_id,
        log_type=LogType.CONVERSATION,
        counted=True,
        since_last=False,
        certified_at=call.at,
    )
    return Issued(signed.document, [_attachment(receipt), _attachment(link)])


def _attachment(row: Receipt | ReceiptLog) -> Attachment:
    return Attachment(_INSERT[type(row)], json_writer.dumps(columns.stored_values(row)))


def _draft(call: FinishedCall) -> FlatDraft | None:
    """Return the contents of the receipt; None if the usage of the call is unknown."""
    tokens = call.usage.tokens
    if tokens is None:
        return None
    input_cost, output_cost, total = _costs(call)
    return FlatDraft.model_construct(
        timestamp=format_time(call.at),
        alias=call.alias or DEFAULT_ALIAS,
        profile=call.profile,
        lock_digest=call.lock_digest,
        provider=call.provider,
        model=call.model,
        prompt_tokens=tokens.prompt,
        completion_tokens=tokens.completion,
        total_tokens=tokens.prompt + tokens.completion,
        input_cost=float(input_cost),
        output_cost=float(output_cost),
        total_cost=float(total),
    )


def _costs(call: FinishedCall) -> tuple[Decimal, Decimal, Decimal]:
    """Return the input's part, the output's part and the whole; zero if nothing is known."""
    total = call.cost or Decimal(0)
    if call.input_cost is not None and call.output_cost is not None:
        return call.input_cost, call.output_cost, total
    part = calculations.input_cost(total, call.provider, call.model, call.usage)
    return part, total - part, total
