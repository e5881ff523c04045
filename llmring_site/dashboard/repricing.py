"""What pricing a model's unpriced calls again would change, and doing so when asked."""

from datetime import UTC, datetime, time, timedelta
from itertools import islice
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from core import figures
from core.database.timeouts import unless_too_slow
from llmring_site.dashboard.scope import Scope
from registry_proxy import pricing
from usage import repricing
from usage.repricing import Repriced
from usage.windows import Window

MAX_LOGS = 1_000  # of one page; the command takes any number
MAY_CORRECT = "usage.correct_usagelog"


def address(scope: Scope, provider: str, model: str) -> str:
    """Return where the page is for a model's calls in the scope's window."""
    query = {**scope.query, "provider": provider, "model": model}
    return f"{reverse('reprice')}?{urlencode(query)}"


@require_http_methods(["GET", "HEAD", "POST"])
def reprice(request: HttpRequest) -> HttpResponse:
    """Show what would change; a POST writes the corrections. Looking writes nothing."""
    scope = Scope.of(request)
    if not scope.may("usage.view_usagelog"):
        raise PermissionDenied
    if request.method == "POST" and not scope.may(MAY_CORRECT):
        raise PermissionDenied
    provider, model = (request.GET.get(name, "").replace("\x00", "") for name in _NAMES)
    repriced = unless_too_slow(lambda: _unpriced(scope, provider, model))
    if request.method == "POST" and repriced is not None and len(repriced) <= MAX_LOGS:
        count = sum(map(_correct, repriced))
        messages.success(request, f"{figures.count(count, 'call')} of {model} priced.")
        return HttpResponseRedirect(f"{reverse('admin:index')}?{urlencode(scope.query)}")
    context = {
        **admin.site.each_context(request),
        "title": f"Price {provider}:{model} again",
        "scope": scope,
        **_preview(repriced),
        "max_logs": MAX_LOGS,
        "may_correct": scope.may(MAY_CORRECT),
        "home": f"{reverse('admin:index')}?{urlencode(scope.query)}",
    }
    return TemplateResponse(request, "llmring_site/reprice.html", context)


_NAMES = ("provider", "model")


def _unpriced(scope: Scope, provider: str, model: str) -> list[Repriced]:
    """Return the model's unpriced calls, with what they cost by now; at most MAX_LOGS and one."""
    pricing.load()
    start, end = (
        datetime.combine(day, time.min, UTC)
        for day in (scope.first, scope.last + timedelta(days=1))
    )
    found: list[Repriced] = []
    for project_id in scope.project_ids:
        logs = repricing.standing(project_id, Window(start, end), unpriced=True)
        logs = logs.filter(provider=provider, model=model)
        found += islice(repricing.reprice(logs), MAX_LOGS + 1 - len(found))
    return found


def _correct(repriced: Repriced) -> bool:
    return repriced.differs and repricing.correct(repriced)


def _preview(repriced: list[Repriced] | None) -> dict:
    if repriced is None:
        return {"is_too_slow": True}
    changing = [item for item in repriced if item.differs]
    cost = sum(item.cost.amount or 0 for item in changing)
    reasons = {item.cost.unpriced_reason for item in repriced if not item.differs}
    return {
        "is_too_many": len(repriced) > MAX_LOGS,
        "calls": len(repriced),
        "changing": len(changing),
        "cost": figures.exact(cost) if changing else "",
        "reasons": sorted(reason for reason in reasons if reason),
    }
