"""The pages for login, registration and mailed links. They call the API's functions.

Only a POST changes anything: mail servers may open every link before its reader does.
"""

from django.conf import settings
from django.http import HttpResponseRedirect

from accounts import invitations, mailing, passwords
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
from accounts.people.page_base import LOGIN, Page, page, to_account, to_page
from core.compression import keep_uncompressed


class LoginPage(Page):
    template_name = "accounts/login.html"
    form_class = forms.LoginForm
    title, button = "Log in", "Log in"

    def get_context_data(self, **kwargs):
        return super().get_context_data(
            providers=providers.choices(),
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
    counted_as = "register"

    def get_context_data(self, **kwargs):
        return super().get_context_data(providers=providers.choices(), **kwargs)

    def carry_out(self, data):
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
    counted_as = "password reset"
    text = "We send a link to your e-mail address."
    ways = (LOGIN,)

    def carry_out(self, data):
        requested_mails.ask_for_reset(data["email"])
        return to_page("login", "mail")


class ResetPage(Page):
    form_class = forms.ResetForm
    title, button = "Set a new password", "Set the password"
    counted_as = "confirm"
    has_token = True
    ways = (("forgot", "Send a new link"), LOGIN)

    def carry_out(self, data):
        user = password_changes.reset(data["token"], data["password"], self.origin)
        return page(
            self.request,
            "password_set",
            title="The password is set",
            keys=password_changes.remaining_keys(user),
            providers=password_changes.labels_of_providers(user),
        )


class AccountProofPage(Page):
    """A page of a mailed link that also requires the account's session or password."""

    form_class = forms.VerifyForm
    has_token = True
    ways = (LOGIN,)

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
    counted_as = "confirm"
    text = "If you did not open an account here, close this page."

    def carry_out(self, data):
        person = address_proofs.confirm(
            data["token"],
            self.origin,
            session_user=logins.session_user(self.request),
            password=data["password"],
        )
        return to_account(self.request, person, "verified")


class ConfirmEmailPage(AccountProofPage):
    title, button = "Confirm your new address", "Change the address"
    counted_as = "confirm"
    text = "If you did not ask for the address of an account to be changed, close this page."

    def carry_out(self, data):
        person = address_changes.confirm(self.request, data["token"], password=data["password"])
        return to_account(self.request, person, "email")


class InvitationPage(Page):
    template_name = "accounts/invitation.html"
    title, button = "Accept the invitation", "Accept"
    counted_as = "confirm"
    has_token = True

    def get_form_class(self):
        return forms.TokenForm if self.request.user.is_authenticated else forms.InvitationForm

    def carry_out(self, data):
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
    counted_as = "oauth address"
    text = "The provider has no confirmed address of yours. We send a link to the one you give."
    ways = (LOGIN,)

    def carry_out(self, data):
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
    counted_as = "confirm"
    text = "If you did not just log in here with a provider, close this page."
    has_token = True
    ways = (LOGIN,)

    def carry_out(self, data):
        identities.connect_by_token(data["token"], pending.read(self.request), self.origin)
        return to_page("login", "connected")
