"""What needs attention, one function for each panel.

An app that has something to say gets a function here and a place in PANELS; it returns
None if the viewer may not see it. The figures come from that app.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from core.database.timeouts import unless_too_slow
from core.number_formats import counted, utc
from core.panels import Fact, Panel
from gateway import health as gateway_health
from gateway.models import CallState
from llmring_site.dashboard.scope import Scope
from mcp import health
from registry_proxy.current_registry import MAX_PRICE_AGE_DAYS, are_old
from registry_proxy.models import Refresh, Snapshot
from usage import price_page
from usage.latency import CallFigures, call_figures
from usage.models import UsageStatus
from usage.overview import unpriced_models

# Calls whose times are read while the page waits; of more they are fetched after it.
MAX_CALLS_AT_ONCE = 30_000
_LATE = timedelta(minutes=5)


def calls_panel(scope: Scope, calls: int) -> Panel | None:
    """Return latency and unsettled calls, or where to fetch them if there are many calls."""
    if not scope.may_view("usage.usagelog"):
        return None
    if calls > MAX_CALLS_AT_ONCE:
        return Panel(
            "Latency and errors", notes=["Reading the calls…"], load_from=scope.calls_address
        )
    return measured_calls_panel(scope)


def measured_calls_panel(scope: Scope) -> Panel:
    """Return latency and unsettled calls, or that they take too long."""
    figures = unless_too_slow(lambda: call_figures(scope.project_ids, scope.first, scope.last))
    if figures is None:
        seconds = settings.STATEMENT_TIMEOUT_SECONDS
        note = f"Given up after {seconds} seconds: choose fewer days or one project."
        return Panel("Latency and errors", notes=[note])
    return Panel(
        "Latency and errors", _latency(figures) + _unsettled(scope, figures), [_measured(figures)]
    )


def _latency(figures: CallFigures) -> list[Fact]:
    return [
        Fact("half of the calls within (p50)", _milliseconds(figures.p50)),
        Fact("95 of 100 calls within (p95)", _milliseconds(figures.p95)),
    ]


def _milliseconds(value: int | None) -> str:
    return "–" if value is None else f"{value:,} ms"


def _measured(figures: CallFigures) -> str:
    """Return how many of the calls state their latency, as a sentence."""
    if not figures.measured:
        return f"None of {figures.calls:,} calls states its latency."
    return f"Latency: {figures.measured:,} of {figures.calls:,} calls were measured."


def _unsettled(scope: Scope, figures: CallFigures) -> list[Fact]:
    labels = {
        UsageStatus.FAILED: "failed calls",
        UsageStatus.UNKNOWN: "calls of unknown usage",
        UsageStatus.ESTIMATED: "calls of estimated usage",
    }
    return [
        Fact(
            label,
            f"{figures.unsettled[status]:,}",
            scope.links.calls(status),
            is_warning=figures.unsettled[status] > 0 and status != UsageStatus.ESTIMATED,
        )
        for status, label in labels.items()
    ]


def unpriced_panel(scope: Scope) -> Panel | None:
    if not scope.may_view("usage.usagelog"):
        return None
    models = unpriced_models(scope.project_ids, scope.first, scope.last)
    if not models:
        return Panel("Calls without a price", notes=["Every call has a price."])
    facts = []
    for row in models:
        value = f"unpriced: {counted(row.calls, 'call')}, {counted(row.tokens, 'token')}"
        labels = {"provider": row.provider, "model": row.model, "cost_source": "unpriced"}
        facts.append(Fact(f"{row.provider}:{row.model}", value, scope.links.window(**labels), True))
        if price_page.may_set(scope.request.user):
            address = price_page.address(row.provider, row.model, scope.project)
            facts.append(Fact(f"Set a price for {row.model}", "", address))
    return Panel("Calls without a price", facts)


def mcp_panel(scope: Scope) -> Panel | None:
    if not scope.may_view("mcp.server"):
        return None
    facts = [
        Fact(
            name,
            f"fails: {error}" if error else "fails",
            reverse("admin:mcp_server_change", args=[id]),
            is_warning=True,
        )
        for id, name, error in health.failing_servers(scope.project_ids)
    ]
    if scope.may_view("mcp.toolexecution"):
        failed = health.failed_executions(scope.project_ids, scope.first, scope.last)
        more = "+" if failed > health.MAX_COUNTED else ""
        lookup = {
            "error_kind__isnull": "False",
            "executed_at__gte": f"{scope.first}",
            "executed_at__lt": f"{scope.last + timedelta(days=1)}",
            **scope.project_lookup,
        }
        address = f"{reverse('admin:mcp_toolexecution_changelist')}?{urlencode(lookup)}"
        count = f"{min(failed, health.MAX_COUNTED):,}{more}"
        facts.append(Fact("failed executions of tools", count, address, failed > 0))
    changed = health.changed_tools(scope.project_ids)
    tools = reverse("admin:mcp_tool_changelist") if scope.may_view("mcp.tool") else None
    facts.append(Fact("changed tools to accept", f"{changed:,}", tools, changed > 0))
    return Panel("MCP", facts)


def gateway_panel(scope: Scope) -> Panel | None:
    if not scope.may_view("gateway.call"):
        return None
    state = gateway_health.current(scope.project_ids)
    calls = reverse("admin:gateway_call_changelist")
    unknown = f"{calls}?state__exact={CallState.UNKNOWN}"
    may_view_workers = scope.may_view("gateway.worker")
    workers = reverse("admin:gateway_worker_changelist") if may_view_workers else None
    return Panel(
        "Gateway",
        [
            Fact("calls in progress", f"{state.under_way:,}", calls),
            Fact("calls of unknown cost", f"{state.unknown:,}", unknown, state.unknown > 0),
            *(Fact(name, "suspended: it fails", workers, True) for name in state.suspended),
        ],
    )


def registry_panel(scope: Scope) -> Panel | None:
    if not scope.may_view("registry_proxy.snapshot"):
        return None
    snapshot, refresh = Snapshot.objects.defer("changes").newest(), Refresh.objects.first()
    now = datetime.now(UTC)
    if snapshot is None:
        return Panel(
            "Registry of models", notes=["It has not been fetched yet: calls are unpriced."]
        )
    address = reverse("admin:registry_proxy_snapshot_change", args=[snapshot.pk])
    made = snapshot.prices_made_at
    age = f"{(now - made).days:,} days old" if made else "of unknown age"
    facts = [
        Fact(f"snapshot {snapshot}", counted(snapshot.model_count, "model"), address),
        Fact("prices", age, None, are_old(made, now=now)),
    ]
    if refresh:
        facts.append(_job("last fetched", refresh.succeeded_at, now))
        if refresh.error:
            may_view = scope.may_view("registry_proxy.refresh")
            refreshes = reverse("admin:registry_proxy_refresh_changelist") if may_view else None
            facts.append(Fact("last attempt", refresh.error, refreshes, True))
    note = f"Prices are old after {MAX_PRICE_AGE_DAYS} days."
    return Panel("Registry of models", facts, [note] if are_old(made, now=now) else [])


def jobs_panel(scope: Scope) -> Panel | None:
    """Return the state of background jobs, for those who may view the registry's refreshes."""
    if not scope.may_view("registry_proxy.refresh"):
        return None
    now = datetime.now(UTC)
    refresh = Refresh.objects.first()
    facts = [_job("registry: last attempt", refresh and refresh.attempted_at, now)]
    if not settings.MCP_EXECUTE or not settings.MCP_REFRESH_MINUTES:
        facts.append(Fact("MCP: background refreshes", "off"))
    else:
        late = health.overdue_refreshes(now - _LATE)
        facts.append(Fact("MCP: servers overdue for a refresh", f"{late:,}", None, late > 0))
    return Panel("Background jobs", facts)


def _job(name: str, at: datetime | None, now: datetime) -> Fact:
    text = utc(at) if at else "never"
    late = timedelta(seconds=settings.CACHE_TTL_SECONDS) + _LATE
    return Fact(name, text, None, at is None or now - at > late)


PANELS: list[Callable[[Scope], Panel | None]] = [
    unpriced_panel,
    gateway_panel,
    mcp_panel,
    registry_panel,
    jobs_panel,
]
