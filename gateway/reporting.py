"""What operators see of each relayed call: metrics, and a line of the event log."""

from gateway import event_log, metrics
from gateway.exchange import Exchange
from gateway.metering import MeteredCall, Outcome
from usage.ledger import LogRow

# What the gateway says of an answer; all else is the upstream's own text, and no label.
_KINDS = frozenset(
    {
        "client_gone",
        "ended_early",
        "request_incomplete",
        "upstream_disconnected",
        "upstream_silent",
        "upstream_undecodable",
    }
)
# Columns of the ledger that a line of the event log has, too.
_LOGGED = (
    "id",
    "project_id",
    "api_key_id",
    "upstream",
    "provider",
    "model",
    "requested_model",
    "alias",
    "profile",
    "origin",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "usage_status",
    "cost",
    "cost_source",
    "http_status",
    "latency_ms",
    "first_byte_ms",
    "error",
)


def answered(exchange: Exchange, *, seconds: float, error_code: str | None) -> None:
    """Count a request that was answered; `error_code` is that of a refusal of ours."""
    status = f"{(exchange.status or 499) // 100}xx"
    metrics.requests(exchange.upstream, exchange.route, status)
    metrics.duration(exchange.upstream, seconds)
    if error_code is not None:
        metrics.errors(exchange.upstream, error_code)


def settled(call: MeteredCall, outcome: Outcome, row: LogRow, request_id: str) -> None:
    """Count what a call used, and write its line."""
    columns = row.columns
    metrics.tokens(
        call.upstream,
        input=columns.get("input_tokens") or 0,
        output=columns.get("output_tokens") or 0,
    )
    if row.cost:
        metrics.cost(call.upstream, row.cost)
    if outcome.first_byte_ms is not None:
        metrics.first_byte(call.upstream, outcome.first_byte_ms / 1000)
    if outcome.error is not None and (kind := _kind(outcome)):
        metrics.errors(call.upstream, kind)
    line = {name: columns[name] for name in _LOGGED if name in columns}
    event_log.write({**line, "request_id": request_id})


def _kind(outcome: Outcome) -> str | None:
    """Return the kind of an error that an answer had; None for one that we counted as ours."""
    if outcome.error in _KINDS:
        return outcome.error
    if outcome.http_status is None:
        return None
    if outcome.http_status >= 400:
        return f"http_{outcome.http_status // 100}xx"
    return "upstream_error"
