"""The admin's login, logout and password change, with the rules of the API and the pages.

The admin site has no settings for these views, so its methods are replaced.
"""

from django.contrib import admin, messages
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from unfold.forms import AdminOwnPasswordChangeForm

from accounts import audit, passwords
from accounts.people import known_browsers, password_changes
from accounts.people.page_base import NOTICES
from core import error_pages
from core.errors import DomainError

_plain_login, _plain_logout = admin.site.login, admin.site.logout
_plain_has_permission = admin.site.has_permission


def has_permission(request: HttpRequest) -> bool:
    """Return whether the person is staff. Explain at the login if a session ended before a POST."""
    is_late = request.method == "POST" and not request.user.is_authenticated
    # The login page calls this for its context, and after a logout nothing is lost.
    if is_late and request.path not in (reverse("admin:login"), reverse("admin:logout")):
        messages.warning(request, NOTICES["ended"])
    return _plain_has_permission(request)


def login(request, extra_context=None):
    """Log in to the admin, record it, and remember the browser, as elsewhere."""
    if request.method == "GET" and request.user.is_authenticated and not request.user.is_staff:
        messages.warning(request, f"You are logged in as {request.user}, who is not staff.")
    response = _plain_login(request, extra_context)
    if (refusal := getattr(request, "refusal", None)) is not None:
        response = _refused(request, refusal)
    if request.method == "POST" and request.user.is_authenticated and response.status_code == 302:
        origin = audit.of_request(request, actor=f"user:{request.user.pk}")
        audit.record("login.admin", origin, user_id=request.user.pk)
        known_browsers.remember(request, response, request.user)
    return response


def logout(request, extra_context=None):
    """Log out of the admin, and record it, as elsewhere."""
    if request.method == "POST" and request.user.is_authenticated:
        audit.record("logout", audit.of_request(request))
    return _plain_logout(request, extra_context)


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    def clean_old_password(self) -> str:
        """Limit guesses, as elsewhere: an open session does not prove the password."""
        password = self.cleaned_data["old_password"]
        if not passwords.is_right(self.user, password):
            raise ValidationError(self.error_messages["password_incorrect"])
        return password


class OwnPasswordView(PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def post(self, request, *args, **kwargs):
        try:
            return super().post(request, *args, **kwargs)
        except DomainError as error:
            return _refused(request, error)

    def form_valid(self, form):
        password = form.cleaned_data["new_password1"]
        password_changes.change(self.request, self.request.user, password)
        return HttpResponseRedirect(self.get_success_url())


def password_change(request, extra_context=None):
    context = {**admin.site.each_context(request), **(extra_context or {})}
    return OwnPasswordView.as_view(extra_context=context)(request)


def _refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    response = error_pages.error(request, error.status_code)
    for name, value in error.headers.items():
        response[name] = value
    return response


admin.site.has_permission = has_permission
admin.site.login, admin.site.logout = login, logout
admin.site.password_change = password_change
