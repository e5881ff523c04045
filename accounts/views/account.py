"""The logged-in person's account: its key, password, sessions and deletion."""

from django.db import transaction
from django.db.models.functions import Now
from rest_framework.response import Response

from accounts import audit, keys, login_keys, passwords
from accounts.models import ApiKey, Membership, User
from accounts.people import (
    account_deletion,
    address_changes,
    logins,
    password_changes,
    requested_mails,
)
from accounts.projects import tier_name
from accounts.schemas import people as schemas
from accounts.views.base import PersonView, home_key_reply
from core.errors import DomainError


class MeView(PersonView):
    replies = {"get": schemas.Me}

    def get(self, request):
        """Get who is logged in, their projects, and the state of their key"""
        user = request.user
        active = login_keys.of_person(user) & ApiKey.objects.usable()
        memberships = Membership.objects.filter(user=user, project__archived_at=None)
        return Response(
            {
                "id": user.id,
                "email": user.email,
                "email_verified": user.email_verified_at is not None,
                "has_password": user.has_usable_password(),
                "is_staff": user.is_staff,
                "providers": password_changes.remaining_providers(user),
                "api_key": {"active": active.count(), "retrievable": claims_key(user)},
                "projects": [
                    {
                        "id": each.project_id,
                        "name": each.project.name,
                        "role": each.role,
                        "tier": tier_name(each.project),
                    }
                    for each in memberships.select_related("project__tier").order_by("id")
                ],
            }
        )


def claims_key(user: User) -> bool:
    """Return whether the person may still retrieve the first key (RetrieveKeyView)."""
    return User.objects.filter(pk=user.pk, key_claim_until__gt=Now()).exists()


class KeyTaken(DomainError):
    """There is no key to retrieve: it was retrieved already, or the time is over."""

    status_code = 410
    code = "key_taken"

    def __init__(self) -> None:
        super().__init__("The key was retrieved already, or expired; POST to regenerate-api-key")


class NotAsked(DomainError):
    """The request is a browser's prefetch or comes from another site, not from the person."""

    code = "not_asked"

    def __init__(self) -> None:
        super().__init__("The key is given to a request of the page itself only")


class RetrieveKeyView(PersonView):
    replies = {"get": schemas.AccountKey}
    errors = {"get": {400: "Not asked by the page itself", 410: "Taken already"}}

    def get(self, request):
        """Get the first key after a login with a provider, once

        Within a quarter of an hour. 410 when it was taken: `regenerate-api-key` makes another.
        """
        _check_asked(request)
        claimed = User.objects.filter(pk=request.user.pk, key_claim_until__gt=Now())
        with transaction.atomic():
            # One statement decides which of several requests gets the key, created only now.
            if not claimed.update(key_claim_until=None):
                raise KeyTaken
            origin = audit.of_request(request)
            return Response(home_key_reply(request.user, origin, name="made at the first login"))

    def head(self, request):
        raise NotAsked


def _check_asked(request) -> None:
    purpose = " ".join(request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose"))
    site = request.headers.get("Sec-Fetch-Site", "none")
    if "prefetch" in purpose or "preview" in purpose or site not in ("none", "same-origin"):
        raise NotAsked


class RegenerateKeyView(PersonView):
    replies = {"post": schemas.AccountKey}

    def post(self, request):
        """Replace the keys that logins gave by a new one"""
        requested_mails.require_verified(request.user)
        origin = audit.of_request(request)
        keys.revoke_keys(login_keys.of_person(request.user), origin, reason="regenerated")
        return Response(home_key_reply(request.user, origin, name="regenerated"))


class LogoutView(PersonView):
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": "Logged out."}}

    def post(self, request):
        """End the session"""
        logins.end_session(request._request)
        return Response({"message": "Logged out."})


class LogoutEverywhereView(PersonView):
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": "Logged out everywhere."}}

    def post(self, request):
        """End all sessions of the person, this one included; open reset links die too"""
        logins.log_out_everywhere(request._request)
        return Response({"message": "Logged out everywhere."})


class ChangePasswordView(PersonView):
    bodies = {"post": schemas.PasswordChange}
    replies = {"post": schemas.PasswordWasReset}
    reply_examples = {"post": {"message": "The password is changed."}}

    def post(self, request):
        """Change the password; other sessions end

        Keys go on working, and so do connected identities: both are in the reply.
        """
        passwords.require_current(request.user, self.body.current_password)
        password_changes.change(request._request, request.user, self.body.password)
        return Response(
            {
                "message": "The password is changed.",
                "keys": password_changes.remaining_keys(request.user),
                "providers": password_changes.remaining_providers(request.user),
            }
        )


class ChangeEmailView(PersonView):
    bodies = {"post": schemas.EmailChange}
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": requested_mails.CHANGE_SENT}}

    def post(self, request):
        """Ask for a link that changes the e-mail address

        It is mailed to the new address, a notice to the old one. The same reply for an address
        that somebody has. Accounts with a password need it.
        """
        passwords.require_current(request.user, self.body.current_password)
        address_changes.ask(request.user, self.body.email, audit.of_request(request))
        return Response({"message": requested_mails.CHANGE_SENT})


class SendVerificationView(PersonView):
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": requested_mails.SENT}}

    def post(self, request):
        """Mail the link again that verifies the address"""
        requested_mails.send_verification(request.user)
        return Response({"message": requested_mails.SENT})


class DeleteAccountView(PersonView):
    bodies = {"post": schemas.PasswordProof}
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": "The account is deleted."}}
    errors = {"post": {409: "A project would lose its last owner"}}

    def post(self, request):
        """Delete the account

        Its keys are revoked. 409 while a project would lose its last owner: hand it over
        or archive it first. Accounts with a password need it.
        """
        account_deletion.delete_own_account(request._request, self.body.password)
        return Response({"message": "The account is deleted."})
