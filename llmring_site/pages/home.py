"""A project's home and calls, and the redirect of browsers that open `/`."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.models import ApiKey, User
from accounts.people.page_base import unkept
from accounts.projects import home_project
from conversations.models import Conversation
from core.database.timeouts import unless_too_slow
from core.errors import InvalidInput
from core.parsing import parse_query
from llmring_site.dashboard.page import usage_figures
from llmring_site.dashboard.panels import calls_panel, measured_calls_panel
from llmring_site.pages.base import ProjectPage, ReadPage
from llmring_site.pages.calls import calls
from llmring_site.pages.scope import ProjectScope
from receipts.models import Receipt
from usage.models import UsageStatus
from usage.query_schemas import LogsQuery

LAST_CALLS = 10
LAST_ROWS = 5  # conversations and receipts
MAX_KEYS = 500  # to choose from
_TEXT_FILTERS = [
    ("provider", "Provider"),
    ("model", "Model"),
    ("alias", "Alias"),
    ("origin", "Origin"),
    ("user", "User"),
    ("tag", "Tag"),
]
# The filters' names on the page.
_LABELS = {
    **dict(_TEXT_FILTERS),
    **{"start_date": "First day", "end_date": "Last day", "api_key_id": "Key"},
    **{"usage_status": "Usage", "cost_source": "Price"},
}


def redirect_from_root(request: HttpRequest) -> HttpResponse:
    """Redirect a browser to the home of the person's project, or to the login."""
    user = get_user(request)
    if not user.is_authenticated:
        return unkept(HttpResponseRedirect(reverse("login")))
    wanted = user.memberships.filter(project__archived_at=None, project_id=_uuid(request))
    if membership := wanted.first():
        address = reverse("project-home", args=[membership.project_id])
    else:
        address = home_of(user)
    return unkept(HttpResponseRedirect(address))


def _uuid(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.GET.get("project", ""))
    except ValueError:
        return None


def home_of(user: User) -> str:
    """Return the path of the person's first page after a login."""
    if project := home_project(user):
        return reverse("project-home", args=[project.id])
    return reverse("admin:index") if user.is_staff else reverse("projects")


class HomePage(ProjectPage, ReadPage):
    template_name = "llmring_site/pages/home.html"

    def get_context_data(self, **kwargs):
        scope = ProjectScope.of(self.request, project=self.project)
        context = super().get_context_data(**kwargs)
        figures = unless_too_slow(lambda: usage_figures(scope))
        context.update(figures or {"given_up_after": settings.STATEMENT_TIMEOUT_SECONDS})
        if figures and not figures["is_empty"]:
            context["panel"] = calls_panel(scope, figures["calls"])
        query = LogsQuery.model_validate(
            {"start_date": f"{scope.first}", "end_date": f"{scope.last}", "limit": LAST_CALLS}
        )
        last = unless_too_slow(lambda: calls(self.caller, query))
        return {
            **context,
            "title": self.project.name,
            "scope": scope,
            "calls": last and last[0],
            "calls_address": scope.links.window(),
            "conversations": Conversation.objects.for_caller(self.caller)[:LAST_ROWS],
            "receipts": Receipt.objects.for_caller(self.caller)[:LAST_ROWS],
            "public_url": settings.PUBLIC_URL,
        }


class LatencyPage(ProjectPage, ReadPage):
    """The home's panel of latency and errors, where there are many calls."""

    template_name = "llmring_site/pages/panel.html"
    title = "Latency and errors"

    def get(self, request, *args, **kwargs):
        panel = measured_calls_panel(ProjectScope.of(request, project=self.project))
        if "HX-Request" in request.headers:
            return TemplateResponse(request, "core/panel.html", {"panel": panel})
        return self.render_to_response(self.get_context_data(panel=panel))


class CallsPage(ProjectPage, ReadPage):
    template_name = "llmring_site/pages/calls.html"
    title = "Calls"

    def get(self, request, *args, **kwargs):
        context = self.get_context_data(**_filters(request), keys=self._keys())
        try:
            query = parse_query(LogsQuery, request.META["QUERY_STRING"])
        except InvalidInput as error:
            context["problems"] = [
                (_LABELS.get(each["loc"][-1], each["loc"][-1]), each["msg"])
                for each in error.issues
            ]
            return self.render_to_response(context, status=422)
        page = unless_too_slow(lambda: calls(self.caller, query))
        if page is None:
            context["given_up_after"] = settings.STATEMENT_TIMEOUT_SECONDS
        else:
            context["calls"], cursor = page
            context["next"] = cursor and _with_cursor(request, cursor)
        return self.render_to_response(context)

    def _keys(self):
        keys = ApiKey.objects.filter(project=self.project).order_by("-id")[:MAX_KEYS]
        return [(str(key.id), str(key)) for key in keys]


def _filters(request: HttpRequest) -> dict:
    """Return the context of the filters' form: names, labels and current values."""
    query = request.GET
    return {
        "texts": [(name, label, query.getlist(name) or [""]) for name, label in _TEXT_FILTERS],
        "statuses": UsageStatus.values,
        "chosen": {name: query.get(name, "") for name in ("usage_status", "cost_source")},
        "chosen_keys": query.getlist("api_key_id"),
        "start_date": query.get("start_date", ""),
        "end_date": query.get("end_date", ""),
    }


def _with_cursor(request: HttpRequest, cursor: str) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor
    query.pop("offset", None)
    return f"{request.path}?{query.urlencode()}"
