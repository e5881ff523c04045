"""The receipt of a call that `POST /conversations/log` stores.

It is issued inside the transaction that stores the call, so there is never one
without the other.
Source: docs/http-contract/receipts.md, section "Receipts of logged calls".
"""

from decimal import Decimal

from conversations.calls import FinishedCall, IssueReceipt
from core.scoping import Caller
from receipts import issuing, keyring, pricing, storing
from receipts.canonical import LARGEST_INTEGER
from receipts.models import ReceiptLog


def issuer() -> IssueReceipt | None:
    """Return what issues receipts of logged calls; None without a signing key."""
    return issue if keyring.configured().signing else None


def issue(call: FinishedCall, caller: Caller) -> dict | None:
    """The stored flat receipt of the call, which thereby counts as certified.

    None for numbers that no receipt can state: the call is worth more than its
    receipt.
    """
    input_cost, output_cost, total = _costs(call)
    if max(total, call.input_tokens + call.output_tokens) > LARGEST_INTEGER:
        return None
    key = keyring.signing_key()
    document = issuing.flat(
        {
            "timestamp": issuing.time_text(call.at),
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
    signed = issuing.sign(document, key)
    row = storing.row_of(signed, document, key.id, caller)
    storing.insert(row)
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
    """The prompt's part, the completion's part, and the whole; zero when nothing is known."""
    total = call.cost or Decimal(0)
    if call.input_cost is not None and call.output_cost is not None:
        return call.input_cost, call.output_cost, total
    part = pricing.prompt_part(
        total, call.provider, call.model, call.input_tokens, call.output_tokens, call.cached_tokens
    )
    return part, total - part, total
