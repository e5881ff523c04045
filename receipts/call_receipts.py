"""The receipt of a call that `POST /conversations/log` stores.

It is issued inside the transaction that stores the call, so there is never one
without the other.
Source: docs/http-contract/receipts.md, section "Receipts of logged calls".
"""

from decimal import Decimal

from conversations.calls import FinishedCall, IssueReceipt
from core.scoping import Caller
from receipts import calculations, server_keys, services
from receipts.documents import MAX_INTEGER
from receipts.drafts import flat_document, format_time, sign
from receipts.models import ReceiptLog
from receipts.schemas import FlatDraft
from registry_proxy.tokens import Tokens


def issuer() -> IssueReceipt | None:
    """Return the function that issues receipts of logged calls; None without a signing key."""
    return issue if server_keys.configured().signing else None


def issue(call: FinishedCall, caller: Caller) -> dict | None:
    """Store and return a flat receipt of the call, which thereby counts as certified.

    Return None for numbers that no receipt can state: the call is worth more
    than its receipt.
    """
    input_cost, output_cost, total = _costs(call)
    if max(total, call.input_tokens + call.output_tokens) > MAX_INTEGER:
        return None
    key = server_keys.signing_key()
    draft = FlatDraft.model_construct(
        timestamp=format_time(call.at),
        alias=call.alias or "default",
        profile=call.profile,
        lock_digest=call.lock_digest,
        provider=call.provider,
        model=call.model,
        prompt_tokens=call.input_tokens,
        completion_tokens=call.output_tokens,
        total_tokens=call.input_tokens + call.output_tokens,
        input_cost=float(input_cost),
        output_cost=float(output_cost),
        total_cost=float(total),
    )
    document = flat_document(draft)
    if call.cost is None:
        document["cost_source"] = "unpriced"  # the zeros beside it are no price
    signed = sign(document, key)
    row = services.issued_row(signed, key.id, caller)
    services.insert(row)
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
    tokens = Tokens.from_totals(
        call.input_tokens, call.output_tokens, min(call.cached_tokens, call.input_tokens)
    )
    part = calculations.input_cost(total, call.provider, call.model, tokens)
    return part, total - part, total
