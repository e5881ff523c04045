"""The pages by which people come in, in the admin's look. What they do is what the API does.

Only a POST does anything: programs of mail servers fetch every link before its reader does.
"""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.views.generic import FormView

from accounts import attempts, audit, invitations, mailing, passwords
from accounts.models import User
from accounts.oauth import identities, landing, pending, providers
from accounts.people import (
    address_changes,
    address_proofs,
    email_addresses,
    forms,
    logins,
    password_changes,
    registration,
    requested_mails,
)
from core.compression import keep_uncompressed
from core.errors import DomainError, InvalidInput

_LOGIN = ("login", "Log in")
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
    # What was sent twice may have been carried out the first time.
    "ended": "Your session had ended when the form arrived. Log in, then send it again if it is "
    "still needed.",
    "invitation": "Log in, then open the link of the invitation again.",
}


def page(request: HttpRequest, template: str, *, status: int = 200, **context) -> HttpResponse:
    """Return a page that neither browsers nor proxies store."""
    if request.user is None:  # a view of the API that needs no login
        request.user = get_user(request)
    response = TemplateResponse(
        request,
        f"accounts/{template}.html",
        {**admin.site.each_context(request), "site_url": None, **context},
        status=status,
    )
    return unkept(response)


def failed(request: HttpRequest, text: str, *, status: int) -> HttpResponse:
    """Return the page that says why something did not work, with a way back to the login."""
    return page(request, "failed", status=status, title="That did not work", text=text)


def unkept(response: HttpResponse) -> HttpResponse:
    """Return the response, marked for nobody to keep."""
    add_never_cache_headers(response)
    patch_vary_headers(response, ["Cookie", "HX-Request"])
    return response


class Page(FormView):
    """A form whose errors are the rules' own texts."""

    template_name = "accounts/form.html"
    title = ""
    button = ""
    text = ""
    has_token = False
    ways: tuple[tuple[str, str], ...] = ()  # on from here: names of routes, and what links say

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
        """Return the field that a refusal is about, None for the whole form, and its text."""
        return None, str(error)

    def _way(self, name: str, label: str) -> tuple[str, str]:
        if (name, label) == _LOGIN and self.request.user.is_authenticated:
            return "account", "Your account"
        return name, label

    @property
    def origin(self) -> audit.Origin:
        return audit.of_request(self.request)


def to_page(name: str, notice: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse(name) + (f"?notice={notice}" if notice else ""))


def to_account(request: HttpRequest, person: User, notice: str) -> HttpResponseRedirect:
    """Lead to a person's account if they are logged in to it, else to the login."""
    return to_page("account" if logins.session_user(request) == person else "login", notice)


class LoginPage(Page):
    template_name = "accounts/login.html"
    form_class = forms.LoginForm
    title, button = "Log in", "Log in"

    def get_context_data(self, **kwargs):
        return super().get_context_data(
            providers=[(name, providers.LABELS[name]) for name in providers.names()],
            next=self.request.GET.get("next", ""),
            can_register=settings.REGISTRATION == "open",
            **kwargs,
        )

    def carry_out(self, data):
        user = passwords.check(self.request, data["name"], data["password"])
        requested_mails.require_verified(user)
        response = HttpResponseRedirect(landing.safe_path(self.request.GET.getlist("next")))
        logins.start_session(self.request, response, user, method="password")
        return response


class SignUpPage(Page):
    template_name = "accounts/login.html"
    form_class = forms.SignUpForm
    title, button = "Sign up", "Sign up"

    def get_context_data(self, **kwargs):
        return super().get_context_data(
            providers=[(name, providers.LABELS[name]) for name in providers.names()], **kwargs
        )

    def carry_out(self, data):
        attempts.take_of_address(self.request, "register")
        passwords.validate(data["password"])
        registered = registration.register(
            data["email"], data["password"], self.origin, organization=data["organization"]
        )
        if not registered.is_active:
            return to_page("login", "registered")
        response = page(
            self.request,
            "first_key",
            title="Your API key",
            key=registered.api_key,
            address=settings.PUBLIC_URL,
            home=landing.home(),
        )
        keep_uncompressed(response)
        logins.start_session(self.request, response, registered.user, method="register")
        return response.render()


class LogoutPage(Page):
    form_class = forms.ConfirmForm
    title, button = "Log out", "Log out"
    ways = (("projects", "Back to your projects"),)

    def carry_out(self, data):
        logins.end_session(self.request)
        return to_page("login", "logged-out")


class ForgotPage(Page):
    form_class = forms.AddressForm
    title, button = "Set a new password", "Send the link"
    text = "We send a link to your e-mail address."
    ways = (_LOGIN,)

    def carry_out(self, data):
        attempts.take_of_address(self.request, "password reset")
        requested_mails.ask_for_reset(data["email"])
        return to_page("login", "mail")


class ResetPage(Page):
    form_class = forms.ResetForm
    title, button = "Set a new password", "Set the password"
    has_token = True
    ways = (("forgot", "Send a new link"), _LOGIN)

    def carry_out(self, data):
        attempts.take_of_address(self.request, "confirm")
        user = password_changes.reset(data["token"], data["password"], self.origin)
        response = page(
            self.request,
            "password_set",
            title="The password is set",
            keys=password_changes.remaining_keys(user),
            providers=password_changes.labels_of_providers(user),
        )
        return response


class AccountProofPage(Page):
    """For whoever is logged in to the account that a mailed link names, or has its password."""

    form_class = forms.VerifyForm
    has_token = True
    ways = (_LOGIN,)

    def explain(self, error, data):
        if not isinstance(error, passwords.WrongPassword):
            return super().explain(error, data)
        if data["password"]:
            return "password", "This is not the password of the account that the link is for."
        return (
            "password",
            "Enter the password of the account that the link is for, or log in to it.",
        )


class VerifyPage(AccountProofPage):
    title, button = "Confirm your address", "This account is mine"
    text = "If you did not open an account here, close this page."

    def carry_out(self, data):
        attempts.take_of_address(self.request, "confirm")
        person = address_proofs.confirm(
            data["token"],
            self.origin,
            session_user=logins.session_user(self.request),
            password=data["password"],
        )
        return to_account(self.request, person, "verified")


class ConfirmEmailPage(AccountProofPage):
    title, button = "Confirm your new address", "Change the address"
    text = "If you did not ask for the address of an account to be changed, close this page."

    def carry_out(self, data):
        attempts.take_of_address(self.request, "confirm")
        person = address_changes.confirm(self.request, data["token"], password=data["password"])
        return to_account(self.request, person, "email")


class InvitationPage(Page):
    template_name = "accounts/invitation.html"
    title, button = "Accept the invitation", "Accept"
    has_token = True

    def get_form_class(self):
        return forms.TokenForm if self.request.user.is_authenticated else forms.InvitationForm

    def carry_out(self, data):
        attempts.take_of_address(self.request, "confirm")
        if self.request.user.is_authenticated:
            joined = invitations.accept(data["token"], self.request.user, self.origin)
            return HttpResponseRedirect(landing.home(joined.project_id))
        invitation = invitations.peek(data["token"])
        if not data["password"]:
            return to_page("login", "invitation")
        passwords.validate(data["password"])
        user = registration.register_invited(
            data["token"], invitation.email, data["password"], self.origin
        )
        response = HttpResponseRedirect(landing.home(invitation.project_id))
        logins.start_session(self.request, response, user, method="invitation")
        return response


class OAuthAddressPage(Page):
    """Asks for an address where the provider of a login has not verified one."""

    form_class = forms.AddressForm
    title, button = "Your e-mail address", "Send the link"
    text = "The provider has no confirmed address of you. We send a link to the one you give."
    ways = (_LOGIN,)

    def carry_out(self, data):
        attempts.take_of_address(self.request, "oauth address")
        if (profile := pending.read(self.request)) is None:
            raise identities.LinkRefused("This login has expired; begin it again")
        if requested_mails.may_mail(email_addresses.key(data["email"]), "verify"):
            token = identities.address_token(profile, data["email"])
            mailing.send(
                data["email"],
                "connect",
                email=data["email"],
                provider=providers.LABELS[profile.provider],
                link=mailing.link("oauth-confirm", token),
            )
        return to_page("login", "registered")


class OAuthConfirmPage(Page):
    form_class = forms.TokenForm
    title, button = "Confirm your address", "This address is mine"
    text = "If you did not just log in here by a provider, close this page."
    has_token = True
    ways = (_LOGIN,)

    def carry_out(self, data):
        attempts.take_of_address(self.request, "confirm")
        identities.connect_by_token(data["token"], pending.read(self.request), self.origin)
        return to_page("login", "connected")
