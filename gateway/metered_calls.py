"""A call that the upstream may bill, and its row of the ledger.

The row is made of the same LogEntry that a client would send.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import bridge, parsing
from core.errors import InvalidInput
from core.scoping import Caller
from gateway.models import Call, CallState
from usage import costing, log_rows
from usage.ledger import LogRow
from usage.reports.reported_usage import UsageStatus
from usage.schemas import LogEntry

logger = logging.getLogger(__name__)

LOST = "worker_lost"  # the error of a call whose worker was killed


@dataclass(slots=True)
class MeteredCall:
    """A call that the upstream may bill.

    `model` is the upstream's name of the model, by which the call is priced unless the answer
    names another; `requested_model` is the client's name, which may be an alias.
    """

    id: UUID
    caller: Caller
    token_id: UUID
    allowance_id: UUID
    worker_id: UUID
    upstream: str
    provider: str
    model: str
    requested_model: str
    started_at: datetime
    reserved: Decimal
    alias: str | None = None
    profile: str | None = None
    origin: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    price_terms: dict[str, str] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Return the columns of the ledger that are known before the upstream answers."""
        return {
            "id": self.id,
            "created_at": self.started_at,
            "upstream": self.upstream,
            "requested_model": _storable(self.requested_model, 255),
        }

    def pending(self) -> dict[str, Any]:
        """Return the pending row: a row of gateway_calls."""
        return {
            "id": self.id,
            "project_id": self.caller.project_id,
            "token_id": self.token_id,
            "allowance_id": self.allowance_id,
            "worker_id": self.worker_id,
            "state": CallState.PENDING.value,
            "started_at": self.started_at,
            "reserved_usd": self.reserved,
            "upstream": self.upstream,
            "row": self.entry() | {"requested_model": self.requested_model},
        }

    def entry(self) -> dict[str, Any]:
        """Return the members of a LogEntry that are known before the upstream answers."""
        return {
            "provider": self.provider,
            "model": self.model,
            "alias": self.alias,
            "profile": self.profile,
            "origin": self.origin,
            "metadata": self.metadata,
            "modifiers": self.price_terms or None,
        }


@dataclass(slots=True)
class Outcome:
    """How a call ended, and what it used.

    `usage` is the upstream's own object, if it stated one, and `units` are counts beside tokens.
    `estimate` returns members of a LogEntry, for a usage that is missing or not understood.
    `size` and `estimated_size` are the bytes that the one and the other are read from.
    """

    status: UsageStatus
    usage: dict[str, Any] | None = None
    units: dict[str, int] = field(default_factory=dict)
    estimate: Callable[[], dict[str, Any]] | None = None
    model: str | None = None
    service_tier: str | None = None
    http_status: int | None = None
    latency_ms: int | None = None
    first_byte_ms: int | None = None
    error: str | None = None
    size: int = 0
    estimated_size: int = 0


async def ledger_row(call: MeteredCall, outcome: Outcome) -> LogRow:
    """Return the ledger's row of a call that has ended.

    Sets the status of an outcome whose usage is not understood.
    """
    entry = await _entry(call, outcome)
    columns = call.columns() | {
        "http_status": outcome.http_status,
        "first_byte_ms": outcome.first_byte_ms,
        "error": _storable(outcome.error, 255),
    }
    if costing.is_immediate(entry.stated_usage, None):
        return log_rows.build_row(entry, call.caller, **columns)
    return await bridge.in_thread(log_rows.build_row, entry, call.caller, **columns)


async def _entry(call: MeteredCall, outcome: Outcome) -> LogEntry:
    """Return the log entry of the call, as a client would report it."""
    known = call.entry() | {
        "latency_ms": outcome.latency_ms,
        "model": _storable(outcome.model or call.model, 255),
    }
    if outcome.usage is not None:
        try:
            return await bridge.in_thread_if_large(outcome.size, _stated, known, outcome)
        except InvalidInput as error:
            logger.warning("usage of %s is not understood: %s", call.upstream, error)
            outcome.status = UsageStatus.ESTIMATED if outcome.estimate else UsageStatus.UNKNOWN
    status = {"usage_status": outcome.status}
    is_estimated = outcome.status == UsageStatus.ESTIMATED and outcome.estimate
    counts = {}
    if is_estimated:
        counts = await bridge.in_thread_if_large(outcome.estimated_size, outcome.estimate)
    return parsing.validate(LogEntry, known | counts | status)


def _stated(known: dict[str, Any], outcome: Outcome) -> LogEntry:
    """Return the log entry with the usage that was stated. Raises InvalidInput."""
    stated = {
        "usage": outcome.usage,
        "units": outcome.units or None,
        "usage_status": outcome.status,
        "service_tier": _storable(outcome.service_tier, 64),
    }
    return parsing.validate(LogEntry, known | stated)


def _storable(text: str | None, length: int) -> str | None:
    """Return an upstream's text, cut and without characters that PostgreSQL would refuse."""
    if not text:
        return text
    shown = text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:length]
    return shown.encode("utf-8", "replace").decode()


def unknown_row(call: Call) -> LogRow:
    """Return the ledger's row of a call whose worker was killed, or which was not polled."""
    members = dict(call.row)
    requested_model = members.pop("requested_model")
    entry = parsing.validate(LogEntry, members | {"usage_status": UsageStatus.UNKNOWN})
    return log_rows.build_row(
        entry,
        Caller(project_id=call.project_id, api_key_id=call.token_id),
        id=call.id,
        created_at=call.started_at,
        upstream=call.upstream,
        requested_model=requested_model,
        error=LOST if call.state == CallState.PENDING else "not_polled",
    )
