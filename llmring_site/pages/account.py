"""The pages of a person's own account. They call the functions that the API calls."""

from uuid import UUID

from django.http import HttpResponse

from accounts import memberships, passwords
from accounts.models import Identity, Project, User
from accounts.oauth import identities, providers
from accounts.people import (
    account_deletion,
    address_changes,
    logins,
    password_changes,
    requested_mails,
)
from accounts.people.address_proofs import is_self_registered
from accounts.people.forms import (
    AddressForm,
    ConfirmForm,
    CurrentPasswordForm,
    EmailChangeForm,
    NewPasswordForm,
    PasswordChangeForm,
)
from accounts.people.page_base import to_page
from llmring_site.pages.base import PersonPage, Question, ReadPage
from llmring_site.pages.sidebar import password_address

MAX_SHOWN = 500  # projects


class AccountPage(PersonPage, ReadPage):
    template_name = "llmring_site/pages/account.html"
    title = "Your account"

    def get_context_data(self, **kwargs):
        user = self.request.user
        dispensable = identities.dispensable(user)
        return {
            **super().get_context_data(**kwargs),
            "user_name": "" if is_self_registered(user) else user.username,
            "has_password": user.has_usable_password(),
            "password_address": password_address(user),
            "identities": [
                (label(identity), identity, identity.id in dispensable)
                for identity in user.identities.order_by("id")
            ],
            "providers": providers.choices(),
            "keys": _keys(user),
        }


class AccountQuestion(PersonPage, Question):
    """Asks the person about their account, then does something with it."""

    back = "account"


class VerificationPage(AccountQuestion):
    title, button = "Confirm your e-mail address", "Send the link"
    text = "We send a link that confirms it."

    @property
    def subject(self) -> str:
        return self.request.user.email

    def carry_out(self, data) -> HttpResponse:
        user = self.request.user
        requested_mails.send_verification(user)
        # It may be confirmed since the page was opened.
        return self.to("account", "" if user.email_verified_at else "verification")


class EmailPage(AccountQuestion):
    title, button = "Change your e-mail address", "Send the link"
    text = (
        "We send a link to the new address, which works for a day, and tell the one you have. "
        "When the link is opened, your other sessions end."
    )

    def get_form_class(self):
        return EmailChangeForm if self.request.user.has_usable_password() else AddressForm

    def carry_out(self, data) -> HttpResponse:
        passwords.require_current(self.request.user, data.get("current_password", ""))
        address_changes.ask(self.request.user, data["email"], self.origin)
        return self.to("account", "email-asked")


class PasswordPage(AccountQuestion):
    button = "Set the password"
    text = "Your other sessions and open links for a new password end. Keys go on working."

    @property
    def title(self) -> str:
        return "Change the password" if self.has_password else "Set a password"

    @property
    def has_password(self) -> bool:
        return self.request.user.has_usable_password()

    def get_form_class(self):
        return PasswordChangeForm if self.has_password else NewPasswordForm

    def carry_out(self, data) -> HttpResponse:
        passwords.require_current(self.request.user, data.get("current_password", ""))
        password_changes.change(self.request, self.request.user, data["password"])
        return self.to("account", "password")


class LogoutEverywherePage(AccountQuestion):
    title, button = "Log out everywhere?", "Log out everywhere"
    text = (
        "Your sessions in all browsers end, this one too, and so do open links for a new "
        "password. Keys go on working."
    )

    def carry_out(self, data) -> HttpResponse:
        logins.log_out_everywhere(self.request)
        return to_page("login", "logged-out-everywhere")


class DisconnectPage(AccountQuestion):
    title, button = "Disconnect the identity?", "Disconnect"
    text = (
        "It will no longer open your account. Logging in with it connects it again if the provider "
        "has verified the address that you confirmed here."
    )
    is_danger = True

    def find(self, *, identity_id: str) -> None:
        self.identity = identities.of_person(UUID(identity_id), self.request.user)

    @property
    def subject(self) -> str:
        return f"{label(self.identity)}, id {self.identity.subject}"

    def carry_out(self, data) -> HttpResponse:
        identities.unlink(self.identity.id, self.request.user, self.origin)
        return self.to("account", "disconnected")


class DeletePage(AccountQuestion):
    template_name = "llmring_site/pages/delete_account.html"
    title, button = "Delete your account?", "Delete the account"
    is_danger = True

    @property
    def subject(self) -> str:
        return str(self.request.user)

    def get_form_class(self):
        return CurrentPasswordForm if self.request.user.has_usable_password() else ConfirmForm

    def get_context_data(self, **kwargs):
        user = self.request.user
        return {
            **super().get_context_data(**kwargs),
            "owned_alone": memberships.owned_alone(user)[:MAX_SHOWN],
            "keys": _keys(user),
        }

    def carry_out(self, data) -> HttpResponse:
        account_deletion.delete_own_account(self.request, data.get("current_password", ""))
        return to_page("login", "deleted")


def label(identity: Identity) -> str:
    """Return the name of an identity's provider."""
    return providers.LABELS.get(identity.provider, identity.provider)


def _keys(user: User) -> list[dict]:
    """Return the keys that the person made and that work, each with the name of its project."""
    keys = password_changes.remaining_keys(user)
    names = dict(
        Project.objects.filter(id__in={key["project_id"] for key in keys}).values_list("id", "name")
    )
    return [{**key, "project": names[key["project_id"]]} for key in keys]
