"""The panel that the dashboard loads later, and the admin's views that fail on odd requests."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from llmring_site.dashboard.panels import measured_calls_panel
from llmring_site.dashboard.scope import Scope


@require_safe
def calls(request: HttpRequest) -> HttpResponse:
    """Return the panel of latency and errors; as a page to a browser without scripts."""
    scope = Scope.of(request)
    if not scope.may_view("usage.usagelog"):
        raise PermissionDenied
    panel = measured_calls_panel(scope)
    if "HX-Request" in request.headers:
        return TemplateResponse(request, "core/panel.html", {"panel": panel})
    context = {**admin.site.each_context(request), "title": panel.title, "panel": panel}
    return TemplateResponse(request, "llmring_site/panel_page.html", context)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Return unfold's search for pages; its first page if `page` is invalid."""
    try:
        return admin.site.search(request)
    except (ValueError, InvalidPage):
        request.GET = request.GET.copy()
        request.GET["page"] = "1"
        return admin.site.search(request)


def view_on_site(request: HttpRequest, address: str) -> HttpResponse:
    """Answer 404: no row has a page outside the admin. Django's view fails on invalid ids."""
    raise Http404
