"""What operators see of each relayed call: metrics, and a line of the event log."""

from gateway import event_log, metrics
from gateway.exchange import Exchange
from usage.ledger import LogRow

# What the gateway says of an answer; all else is the upstream's own text, and no label.
_KINDS = frozenset(
    {
        "client_gone",
        "ended_early",
        "not_polled",
        "request_incomplete",
        "server_stopped",
        "upstream_disconnected",
        "upstream_silent",
        "upstream_undecodable",
        "worker_lost",
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


def settled(row: LogRow, request_id: str | None) -> None:
    """Count what a call used, and write its line, once its row is stored.

    `request_id` is that of the request whose answer said so: of a background call, its poll's.
    None where no answer did.
    """
    columns = row.columns
    upstream = columns["upstream"]
    metrics.tokens(
        upstream,
        input=columns.get("input_tokens") or 0,
        output=columns.get("output_tokens") or 0,
    )
    if row.cost:
        metrics.cost(upstream, row.cost)
    if (first_byte_ms := columns.get("first_byte_ms")) is not None:
        metrics.first_byte(upstream, first_byte_ms / 1000)
    error = columns.get("error")
    if error is not None and (kind := _kind(error, columns.get("http_status"))):
        metrics.errors(upstream, kind)
    line = {name: columns[name] for name in _LOGGED if name in columns}
    event_log.write({**line, "request_id": request_id})


def _kind(error: str, http_status: int | None) -> str | None:
    """Return the kind of an error that a call had; None for one that we counted as ours."""
    if error in _KINDS:
        return error
    if http_status is None:
        return None
    if http_status >= 400:
        return f"http_{http_status // 100}xx"
    return "upstream_error"
