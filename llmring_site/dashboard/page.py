"""The admin's home: cost and calls at a glance, and what is wrong."""

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import ApiKey, Project
from core.database.timeouts import unless_too_slow
from llmring_site.dashboard.panels import PANELS, calls_panel
from llmring_site.dashboard.scope import MAX_PROJECTS_TO_CHOOSE, Scope
from usage.charts import ranking, tile, usage_charts
from usage.overview import NOTHING, RANKED_LABELS, comparisons, has_usage, overview


def add_dashboard(request: HttpRequest, context: dict) -> dict:
    """Add the dashboard to the context of the admin's home (UNFOLD's DASHBOARD_CALLBACK)."""
    scope = Scope.of(request)
    context.update(
        title="Dashboard",
        scope=scope,
        projects=_projects(scope),
        demo=scope.demo if scope.may_view("accounts.project") else None,
    )
    panels = [panel(scope) for panel in PANELS]
    if scope.may_view("usage.usagelog"):
        figures = unless_too_slow(lambda: usage_figures(scope))
        context.update(figures or {"given_up_after": settings.STATEMENT_TIMEOUT_SECONDS})
        panels.insert(0, calls_panel(scope, figures["calls"]) if figures else None)
    context["panels"] = [panel for panel in panels if panel]
    return context


def usage_figures(scope: Scope) -> dict:
    """Return tiles, charts and rankings, or the first steps where there is nothing to show."""
    compared = comparisons(scope.project_ids, scope.today)
    usage = overview(scope.project_ids, scope.first, scope.last)
    is_empty = usage.total == NOTHING and compared[-1].now == compared[-1].before == NOTHING
    return {
        "calls": usage.total.calls,
        "tiles": [tile(comparison) for comparison in compared],
        "charts": usage_charts(usage, scope.links, today=scope.today),
        "rankings": _rankings(scope, usage.by_label),
        "is_empty": is_empty,
        **(_first_steps(scope) if is_empty else {}),
    }


def _projects(scope: Scope) -> list[Project]:
    if not scope.may_view("accounts.project"):
        return []
    return list(Project.objects.order_by("is_demo", "name", "id")[:MAX_PROJECTS_TO_CHOOSE])


def _rankings(scope: Scope, by_label: dict) -> list:
    names = {"project": {}, "api_key_id": {}}
    if scope.may_view("accounts.project"):
        shown = Project.objects.filter(id__in=list(by_label["project"]))
        names["project"] = {str(id): name for id, name in shown.values_list("id", "name")}
    if scope.may_view("accounts.apikey"):
        keys = ApiKey.objects.filter(id__in=[id for id in by_label["api_key_id"] if id])
        names["api_key_id"] = {str(key.id): str(key) for key in keys}
    labels = [label for label in RANKED_LABELS if label != "project" or not scope.project]
    return [
        ranking(label, by_label[label], scope.links, names=names.get(label)) for label in labels
    ]


def _first_steps(scope: Scope) -> dict:
    """Return the context of an empty dashboard's first steps, and whether it offers demo data.

    Demo data is only offered on servers without usage, whose figures it would hide.
    """
    offers_demo = scope.may("accounts.make_demo") and not scope.demo and not has_usage()
    return {
        "public_url": settings.PUBLIC_URL,
        "has_upstream_key": bool(settings.OPENAI_API_KEY),
        "has_receipt_key": bool(settings.RECEIPTS_PRIVATE_KEY),
        "offers_demo": offers_demo,
        "keys_url": reverse("admin:accounts_apikey_add"),
        "tokens_url": reverse("admin:gateway_token_add"),
    }
