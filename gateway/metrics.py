"""The metrics for Prometheus: the sums of all workers.

Children of metrics are looked up once for each set of labels, all of which come from
closed sets: upstreams that are configured, routes of protocols, kinds of errors.

In a server with workers the values are in files that all of them share
(llmring_site/metrics_files.py prepares them, before this module is imported).
Source: docs/gateway.md, section "Metrics".
"""

import os
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as _OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as _openmetrics

from gateway.breaker import BreakerState
from gateway.metrics_values import use_reserved_files

use_reserved_files()

_own = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
_COMMIT_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CACHE_NAMES = {"hit": "hits", "miss": "misses", "bypass": "bypass", "store": "stores"}
_BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

_requests = Counter(
    "llmring_requests",
    "Calls that the gateway answered.",
    ["upstream", "route", "status"],
    registry=_own,
)
_errors = Counter(
    "llmring_errors", "Calls that failed, by reason.", ["upstream", "kind"], registry=_own
)
_duration = Histogram(
    "llmring_request_duration_seconds",
    "From the request to the end of its answer.",
    ["upstream"],
    buckets=_SECONDS,
    registry=_own,
)
_first_byte = Histogram(
    "llmring_first_byte_seconds",
    "From the request to the first data of the upstream's answer.",
    ["upstream"],
    buckets=_SECONDS,
    registry=_own,
)
_tokens = Counter(
    "llmring_tokens", "Tokens of settled calls.", ["upstream", "direction"], registry=_own
)
_cost = Counter(
    "llmring_cost_dollars", "Cost of settled calls, US dollars.", ["upstream"], registry=_own
)
_cache = Counter(
    "llmring_cache", "Requests whose answers may be cached, by result.", ["result"], registry=_own
)
_streams = Gauge(
    "llmring_streams",
    "Streams in progress.",
    ["upstream"],
    registry=_own,
    multiprocess_mode="livesum",
)
_breaker = Gauge(
    "llmring_breaker_state",
    "The worst of all workers: 0 closed, 1 half open, 2 open.",
    ["upstream"],
    registry=_own,
    multiprocess_mode="livemax",
)
_commit_size = Histogram(
    "llmring_group_commit_size", "Rows of one commit.", buckets=_COMMIT_SIZES, registry=_own
)
_commit_seconds = Histogram(
    "llmring_group_commit_seconds", "One group commit.", buckets=_COMMIT_SECONDS, registry=_own
)
# Of the server: workers are forked from the process that imports this first.
_started = time.time()

_requests_of = cache(_requests.labels)
_errors_of = cache(_errors.labels)
_duration_of = cache(_duration.labels)
_first_byte_of = cache(_first_byte.labels)
_tokens_of = cache(_tokens.labels)
_cost_of = cache(_cost.labels)
_cache_of = cache(_cache.labels)
_streams_of = cache(_streams.labels)


def requests(upstream: str, route: str, status_class: str) -> None:
    """Count an answered call; `status_class` is `2xx` to `5xx`."""
    _requests_of(upstream, route, status_class).inc()


def errors(upstream: str, kind: str) -> None:
    """Count a failed call, by a kind of a closed set such as `timeout`."""
    _errors_of(upstream, kind).inc()


def duration(upstream: str, seconds: float) -> None:
    """Observe how long a call took in all."""
    _duration_of(upstream).observe(seconds)


def first_byte(upstream: str, seconds: float) -> None:
    """Observe how long the upstream let its first data wait."""
    _first_byte_of(upstream).observe(seconds)


def tokens(upstream: str, *, input: int, output: int) -> None:
    """Count the tokens of a settled call."""
    if input:
        _tokens_of(upstream, "input").inc(input)
    if output:
        _tokens_of(upstream, "output").inc(output)


def cost(upstream: str, dollars: Decimal) -> None:
    """Add the cost of a settled call; a correction downwards is left to the ledger."""
    if dollars > 0:
        _cost_of(upstream).inc(float(dollars))


def cache_result(result: str) -> None:
    """Count a look at the cached answers: `hit`, `miss`, `bypass`; or a `store`."""
    _cache_of(result).inc()


def streams(upstream: str) -> Gauge:
    """Return the gauge of the upstream's streams under way: `.inc()` and `.dec()`."""
    return _streams_of(upstream)


def breaker(upstream: str, state: BreakerState) -> None:
    """Export the state of this worker's breaker."""
    _breaker.labels(upstream).set(_BREAKER_VALUES[state])


def group_commit(size: int, seconds: float) -> None:
    """Observe a group commit (core/database/group_commit.py)."""
    _commit_size.observe(size)
    _commit_seconds.observe(seconds)


def as_text(accept: str = "") -> tuple[bytes, str]:
    """Return all metrics and their content type: Prometheus' text format, or OpenMetrics."""
    registry = CollectorRegistry()
    registry.register(_AllWorkers())
    if "application/openmetrics-text" in accept:
        return _openmetrics(registry), _OPENMETRICS
    return generate_latest(registry), CONTENT_TYPE_LATEST


def as_json() -> dict[str, float]:
    """Return llm-proxy's figures."""
    families = [*_collect()]
    return {
        "uptime_seconds": _uptime(),
        "request_count": _total(families, "llmring_requests"),
        "error_count": _total(families, "llmring_errors"),
        **{f"cache_{name}": value for name, value in _cache_results(families).items()},
    }


class _AllWorkers:
    """Our metrics, and those that llm-proxy's dashboards read."""

    def collect(self) -> Iterator[Metric]:
        families = [*_collect()]
        yield from families
        yield GaugeMetricFamily(
            "llmring_start_time_seconds", "Unix time of the server's start.", value=_started
        )
        yield GaugeMetricFamily(
            "llm_proxy_uptime_seconds", "As llm-proxy names it.", value=_uptime()
        )
        totals = {name: _total(families, f"llmring_{name}") for name in ("requests", "errors")}
        totals |= {f"cache_{name}": count for name, count in _cache_results(families).items()}
        for name, total in totals.items():
            yield CounterMetricFamily(f"llm_proxy_{name}", "As llm-proxy names it.", value=total)


def _collect() -> Iterable[Metric]:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return MultiProcessCollector(None).collect()
    return _own.collect()


def _uptime() -> float:
    return round(time.time() - _started, 3)


def _cache_results(families: list[Metric]) -> dict[str, int]:
    """Return the counts of each result, by llm-proxy's names."""
    counts = dict.fromkeys(_CACHE_NAMES.values(), 0)
    for family in families:
        for sample in family.samples:
            if sample.name == "llmring_cache_total":
                counts[_CACHE_NAMES[sample.labels["result"]]] += int(sample.value)
    return counts


def _total(families: list[Metric], name: str) -> int:
    return int(
        sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"{name}_total"
        )
    )
