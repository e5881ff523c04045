"""Routes without a session: registration, login, password resets, proofs of addresses."""

from django.conf import settings
from django.db import transaction
from rest_framework.response import Response

from accounts import audit, passwords
from accounts.people import (
    address_changes,
    address_proofs,
    logins,
    password_changes,
    registration,
    requested_mails,
)
from accounts.projects import tier_name
from accounts.schemas import people as schemas
from accounts.views.base import FROM_ELSEWHERE, AnonymousView, home_key_reply


class RegisterView(AnonymousView):
    counted_as = "register"
    bodies = {"post": schemas.NewAccount}
    replies = {"post": schemas.AccountKey}
    errors = {"post": FROM_ELSEWHERE | {409: "The address has an account"}}

    def post(self, request):
        """Register with an e-mail address and a password

        409 for an address that has an account. Where addresses are verified, every
        address gets the same reply, and the key works when the mailed link was used.
        """
        passwords.validate(self.body.password)
        registered = registration.register(
            self.body.email,
            self.body.password,
            audit.of_request(request),
            organization=self.body.organization,
        )
        response = Response(_key_reply(registered))
        if registered.is_active:
            logins.start_session(request._request, response, registered.user, method="register")
        return response


class CommandLineRegisterView(AnonymousView):
    counted_as = "register"
    bodies = {"post": schemas.CommandLineAccount}
    replies = {"post": schemas.CommandLineKey}
    errors = {"post": FROM_ELSEWHERE | {409: "The address has an account"}}

    def post(self, request):
        """Register from the command line, with an e-mail address alone

        For `llmring register`. A password can be set by `password-reset`.
        """
        registered = registration.register(
            self.body.email,
            None,
            audit.of_request(request),
            organization=self.body.organization,
            project_name=self.body.project_name,
        )
        return Response({**_key_reply(registered), "dashboard_url": f"{settings.PUBLIC_URL}/"})


def _key_reply(registered: registration.Registered) -> dict:
    is_active = registered.is_active
    return {
        "api_key": registered.api_key,
        "api_key_active": is_active,
        # Left out where the reply must not reveal whether the address is new.
        "tier": tier_name(registered.project) if is_active else None,
        "project_id": registered.project.id if is_active else None,
    }


class LoginView(AnonymousView):
    bodies = {"post": schemas.Credentials}
    replies = {"post": schemas.AccountKey}
    errors = {
        "post": {
            401: "Wrong address or password",
            403: "Address not verified, or from another site",
        }
    }

    def post(self, request):
        """Log in with a password

        Begins a session (cookie `sessionid`) and gives a new key, of which a person keeps
        the ten newest. 401 for a wrong password and an unknown address alike.
        """
        user = passwords.check(request._request, self.body.email, self.body.password)
        requested_mails.require_verified(user)
        with transaction.atomic():  # a key and a session, or neither
            origin = audit.of_request(request, actor=f"user:{user.id}")
            response = Response(home_key_reply(user, origin, name="made at login"))
            logins.start_session(request._request, response, user, method="password")
        return response


class PasswordResetView(AnonymousView):
    counted_as = "password reset"
    bodies = {"post": schemas.Address}
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": requested_mails.SENT}}

    def post(self, request):
        """Ask for a link to set a new password

        The same reply for every address.
        """
        requested_mails.ask_for_reset(self.body.email)
        return Response({"message": requested_mails.SENT})


class PasswordResetConfirmView(AnonymousView):
    counted_as = "confirm"
    bodies = {"post": schemas.NewPassword}
    replies = {"post": schemas.PasswordWasReset}
    reply_examples = {"post": {"message": "The password is set; log in with it."}}

    def post(self, request):
        """Set a new password by a mailed token

        Ends all sessions and the keys that logins gave. Other keys go on working, and so do
        connected identities: both are in the reply. 400 for a token that is not valid any
        more; a weak password (422) leaves it valid.
        """
        user = password_changes.reset(
            self.body.token, self.body.password, audit.of_request(request)
        )
        return Response(
            {
                "message": "The password is set; log in with it.",
                "keys": password_changes.remaining_keys(user),
                "providers": password_changes.remaining_providers(user),
            }
        )


class VerifyEmailView(AnonymousView):
    counted_as = "confirm"
    bodies = {"post": schemas.VerificationToken}
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": "The address is verified."}}
    errors = {"post": FROM_ELSEWHERE | {401: "Neither the password nor a session of the account"}}

    def post(self, request):
        """Verify an e-mail address by a mailed token

        With the account's password, or in its session.
        """
        address_proofs.confirm(
            self.body.token,
            audit.of_request(request),
            session_user=logins.session_user(request._request),
            password=self.body.password,
        )
        return Response({"message": "The address is verified."})


class ChangeEmailConfirmView(AnonymousView):
    counted_as = "confirm"
    bodies = {"post": schemas.VerificationToken}
    replies = {"post": schemas.Notice}
    reply_examples = {"post": {"message": "The account has the new address."}}
    errors = {"post": VerifyEmailView.errors["post"] | {409: "The address has an account"}}

    def post(self, request):
        """Change the e-mail address by a mailed token

        With the account's password, or in its session. Other sessions end.
        """
        address_changes.confirm(request._request, self.body.token, password=self.body.password)
        return Response({"message": "The account has the new address."})
