"""Where other apps take part in what happens here, without being imported.

The receipts app sets `issue_receipt` when it is ready. It is called inside the
transaction that stores the call, on Django's connection, and returns the flat
receipt (its `receipt_id` is kept with the message), or None without keys.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from core.scoping import Caller


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call that `POST /conversations/log` is storing. Costs are US dollars, None: unknown."""

    conversation_id: UUID
    message_id: UUID
    at: datetime
    provider: str
    model: str
    alias: str | None
    profile: str | None
    lock_digest: str | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: Decimal | None
    input_cost: Decimal | None
    output_cost: Decimal | None


issue_receipt: Callable[[FinishedCall, Caller], dict | None] | None = None
