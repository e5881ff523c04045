"""What people's pages share: layout, errors, notices."""

from django.contrib import admin
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.views.generic import FormView

from accounts import attempts, audit
from accounts.models import User
from accounts.people import logins, requested_mails
from core.errors import DomainError, InvalidInput

LOGIN = ("login", "Log in")
NOTICES = {
    "denied": "You did not allow the login.",
    "reset": "The password is set. Log in with it.",
    "verified": "The address is verified. You can log in now.",
    "email": "The account has the new address. Log in with it.",
    "mail": requested_mails.SENT,
    "registered": "A mail with a link is on its way. Open it to finish.",
    "connected": "The address is confirmed. Log in again the way you did before.",
    "logged-out": "You are logged out.",
    "logged-out-everywhere": "You are logged out everywhere.",
    "deleted": "The account is deleted.",
    # The form may have been sent, and carried out, before the session ended.
    "ended": "Your session had ended when the form arrived. Log in, then send it again if it is "
    "still needed.",
    "invitation": "Log in, then open the link of the invitation again.",
}


def page(request: HttpRequest, template: str, *, status: int = 200, **context) -> HttpResponse:
    """Return a page that neither browsers nor proxies store."""
    if request.user is None:  # in a view of the API that needs no login
        request.user = get_user(request)
    response = TemplateResponse(
        request,
        f"accounts/{template}.html",
        {**admin.site.each_context(request), "site_url": None, **context},
        status=status,
    )
    return unkept(response)


def failed(request: HttpRequest, text: str, *, status: int) -> HttpResponse:
    """Return an error page with this text and a link to the login or the account."""
    return page(request, "failed", status=status, title="That did not work", text=text)


def unkept(response: HttpResponse) -> HttpResponse:
    """Return the response with headers that forbid caching."""
    add_never_cache_headers(response)
    patch_vary_headers(response, ["Cookie", "HX-Request"])
    return response


class Page(FormView):
    """A page with a form, which shows DomainErrors of `carry_out` in the form.

    `counted_as` names the attempts that are counted against the client's address; "" for none.
    """

    template_name = "accounts/form.html"
    counted_as = ""
    title = ""
    button = ""
    text = ""
    has_token = False
    ways: tuple[tuple[str, str], ...] = ()  # links to other pages: URL name and label

    def dispatch(self, request, *args, **kwargs):
        return unkept(super().dispatch(request, *args, **kwargs))

    def get_context_data(self, **kwargs):
        return {
            **admin.site.each_context(self.request),
            "site_url": None,
            "title": self.title,
            "button": self.button,
            "text": self.text,
            "has_token": self.has_token,
            "ways": [self._way(*way) for way in self.ways],
            "notice": NOTICES.get(self.request.GET.get("notice", "")),
            **super().get_context_data(**kwargs),
        }

    def form_valid(self, form):
        try:
            if self.counted_as:
                attempts.take_of_address(self.request, self.counted_as)
            return self.carry_out(form.cleaned_data)
        except InvalidInput as error:
            for entry in error.issues:
                field = entry["loc"][-1]
                form.add_error(field if field in form.fields else None, entry["msg"])
        except DomainError as error:
            form.add_error(*self.explain(error, form.cleaned_data))
            response = self.form_invalid(form)
            response.status_code = error.status_code
            for name, value in error.headers.items():
                response[name] = value
            return response
        return self.form_invalid(form)

    def form_invalid(self, form):
        response = super().form_invalid(form)
        response.status_code = 422
        return response

    def carry_out(self, data: dict) -> HttpResponse:
        raise NotImplementedError

    def explain(self, error: DomainError, data: dict) -> tuple[str | None, str]:
        """Return the field that an error is about (None: the whole form), and its text."""
        return None, str(error)

    def _way(self, name: str, label: str) -> tuple[str, str]:
        if (name, label) == LOGIN and self.request.user.is_authenticated:
            return "account", "Your account"
        return name, label

    @property
    def origin(self) -> audit.Origin:
        return audit.of_request(self.request)


def to_page(name: str, notice: str = "") -> HttpResponseRedirect:
    """Redirect to a page by its URL name; it shows the notice of this name."""
    return HttpResponseRedirect(reverse(name) + (f"?notice={notice}" if notice else ""))


def to_account(request: HttpRequest, person: User, notice: str) -> HttpResponseRedirect:
    """Redirect to the account page if the person is logged in, else to the login."""
    return to_page("account" if logins.session_user(request) == person else "login", notice)
