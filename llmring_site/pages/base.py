"""Base classes of the pages for logged-in people. Access is decided by accounts/admission.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.contrib import admin
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import TemplateView

from accounts import admission, memberships
from accounts.models import Project
from accounts.people import requested_mails
from accounts.people.forms import ConfirmForm
from accounts.people.page_base import Page, unkept
from accounts.permissions import Action
from core import error_pages
from core.database.constraints import repeats_id
from core.errors import DomainError
from core.scoping import Caller
from llmring_site.pages.sidebar import sidebar

NOTICES = {
    "revoked": "The key is revoked. It is refused everywhere within a second.",
    "renamed": "The project has its new name.",
    "role": "The role is changed.",
    "removed": "The member is removed.",
    "left": "You left the project.",
    "handed-over": "The project is handed over. You are an admin of it now.",
    "invited": "The invitation is on its way. It works once, for seven days.",
    "withdrawn": "The invitation is withdrawn.",
    "verification": "A mail with a link is on its way, unless several went out just now.",
    "verified": "The address is confirmed.",
    "email-asked": requested_mails.CHANGE_SENT,
    "email": "The account has the new address. Your other sessions ended.",
    "password": "The password is set. Your other sessions ended; keys go on working.",
    "denied": "You did not allow the connection: nothing changed.",
    "connected": "The identity opens your account now.",
    "disconnected": "The identity no longer opens your account. Sessions that it began go on "
    "until they end, or you log out everywhere.",
    "archived": "The project is archived: its keys are refused, its data stays.",
}


class SentAlready(Exception):
    """A form was sent twice, by a double click or a reload; the first time took effect."""

    status_code = 409
    headers: dict[str, str] = {}


@contextmanager
def once(text: str) -> Iterator[None]:
    """Run code that creates a row with the form's id; raise SentAlready(text) if it exists."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if not repeats_id(error):
            raise
        raise SentAlready(text) from None


class PersonPage:
    """A mixin for Django's views: a page for a logged-in person, which nothing caches."""

    project: Project | None = None
    caller: Caller | None = None
    title = ""

    def dispatch(self, request: HttpRequest, *args, **kwargs) -> HttpResponse:
        try:
            if not request.user.is_authenticated:
                return unkept(to_login(request))
            self.find(**kwargs)
            return unkept(super().dispatch(request, *args, **kwargs))
        except Http404:
            return unkept(error_pages.error(request, 404))
        except (DomainError, SentAlready) as error:
            return self.failed(error)

    def find(self, **path) -> None:
        """Look up the objects that the path names. Raises Http404, and admission's errors."""

    def address(self, name: str, *arguments) -> str:
        """Return the path of another page, of the same project if this one has one."""
        return reverse(name, args=arguments)

    def to(self, name: str, notice: str = "") -> HttpResponseRedirect:
        """Redirect to such a page, so that a reload does not repeat the request."""
        return HttpResponseRedirect(self.address(name) + (f"?notice={notice}" if notice else ""))

    def get_context_data(self, **kwargs) -> dict:
        return {**super().get_context_data(**kwargs), **self.frame()}

    def frame(self) -> dict:
        """Return the context of the templates around every page."""
        request, user = self.request, self.request.user
        permissions = (self.caller and self.caller.permissions) or ()
        links = [{"title": "Your projects", "link": reverse("projects")}]
        if user.is_staff:
            links.append({"title": "Admin", "link": reverse("admin:index")})
        context = admin.site.each_context(request)
        return {
            **context,
            "title": self.title,
            "project": self.project,
            "may": {str(action) for action in permissions},
            "has_permission": True,
            "is_nav_sidebar_enabled": True,
            "site_url": None,
            "sidebar_show_search": False,
            "sidebar_navigation": sidebar(request, self.project, permissions),
            "account_links": [*links, *context["account_links"]],
            "logout_url": reverse("logout"),
            "notice": NOTICES.get(request.GET.get("notice", "")),
        }

    def show(self, template: str, *, status: int = 200, **context) -> HttpResponse:
        """Return a page with this template instead of the view's own."""
        response = TemplateResponse(
            self.request,
            f"llmring_site/pages/{template}.html",
            {**self.frame(), **context},
            status=status,
        )
        return unkept(response)

    def failed(self, error: DomainError | SentAlready) -> HttpResponse:
        """Return the error as a page, or as text for a part of one."""
        if "HX-Request" in self.request.headers:
            response = unkept(HttpResponse(f"{error}.", content_type="text/plain; charset=utf-8"))
            response.status_code = error.status_code
        else:
            response = self.show(
                "failed", status=error.status_code, title="That did not work", text=str(error)
            )
        for name, value in error.headers.items():
            response[name] = value
        return response


class ReadPage(TemplateView):
    """A page without a form."""

    http_method_names = ["get", "head"]


class ProjectPage(PersonPage):
    """A page of one project, for those who may take the `action` in it."""

    action = Action.READ

    def find(self, *, project_id: str, **path) -> None:
        caller = admission.authenticate_user(self.request.user, UUID(project_id))
        if caller is None:
            raise Http404("Project not found")
        self.project = Project.objects.select_related("tier").get(id=project_id)
        self.caller = caller
        admission.admit(caller, self.action)

    @property
    def role(self) -> str:
        """The role in which the person administers the project."""
        return memberships.acting_role(self.request.user, self.project)

    def address(self, name: str, *arguments) -> str:
        return super().address(name, self.project.id, *arguments)


class Question(Page):
    """Asks for a confirmation, or for input, about a subject, then acts on it.

    A mixin for a PersonPage.
    """

    template_name = "llmring_site/pages/form.html"
    form_class = ConfirmForm
    back = ""  # URL name of the page that leads here
    is_danger = False
    subject: object = None

    def get_context_data(self, **kwargs):
        return {
            **super().get_context_data(**kwargs),
            "subject": self.subject,
            "back": self.address(self.back),
            "is_danger": self.is_danger,
        }


class QuestionPage(ProjectPage, Question):
    """A Question about the project, or about one of its rows."""


def to_login(request: HttpRequest) -> HttpResponse:
    """Redirect the whole tab to the login, which leads back to its page.

    htmx would follow an ordinary redirect, and put the login into a part of the page.
    """
    is_part = "HX-Request" in request.headers
    back = request.get_full_path()
    if is_part and (current := request.headers.get("HX-Current-URL")):
        url = urlsplit(current)
        back = f"{url.path}?{url.query}" if url.query else url.path
    # The form's content is lost: the person must not believe that it was saved.
    notice = {"notice": "ended"} if request.method == "POST" else {}
    address = f"{reverse('login')}?{urlencode({'next': back} | notice)}"
    if is_part:
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)
