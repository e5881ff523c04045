"""Accounts and sessions as routes of the API; the rules are in the modules named as they are."""

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from rest_framework.response import Response

from accounts import (
    address_proofs,
    attempts,
    audit,
    csrf,
    email_tokens,
    invitations,
    keys,
    logins,
    mailing,
    password_changes,
    passwords,
    registration,
)
from accounts.account_deletion import delete_account
from accounts.authentication import IsPerson, PersonAuthentication
from accounts.client_addresses import bucket_of
from accounts.models import ApiKey, Membership, Purpose, User
from accounts.projects import tier_name
from accounts.schemas import people as schemas
from core.errors import DomainError, InvalidInput
from core.views import PublicView, SchemaView

PER_ADDRESS = 30  # requests of one kind in a window from one address
MAILS_PER_ACCOUNT = 3  # in a window
TAGS = ["accounts"]
MAIL_SENT = "If there is an account with this address, a mail is on its way."
NO_STORE = {"Cache-Control": "no-store"}


class NotVerified(DomainError):
    """The password is right; the address is not verified, and this server asks for it."""

    status_code = 403
    code = "not_verified"
    headers = NO_STORE

    def __init__(self) -> None:
        super().__init__("Confirm your e-mail address first; a mail with the link is on its way")


class SecretBodyMixin:
    """Bodies hold passwords and tokens: errors do not repeat what was sent."""

    tags = TAGS

    @property
    def body(self):
        try:
            return super().body
        except InvalidInput as error:
            for entry in error.issues:
                entry["input"] = None
            raise

    def finalize_response(self, request, response, *args, **kwargs):
        response.headers.setdefault("Cache-Control", "no-store")
        return super().finalize_response(request, response, *args, **kwargs)


_FROM_ELSEWHERE = {403: "From a page of another site"}


class AnonymousView(SecretBodyMixin, PublicView):
    """A route for who is not logged in, counted by the caller's address."""

    counted_as = ""
    errors = {"post": _FROM_ELSEWHERE}

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        csrf.check(request._request)
        if self.counted_as:
            count_address(request, self.counted_as)


class PersonView(SecretBodyMixin, SchemaView):
    """A route for who is logged in."""

    authentication_classes = [PersonAuthentication]
    permission_classes = [IsPerson]


def count_address(request, name: str) -> None:
    """Count a request of the caller's address. Raises TooManyAttempts."""
    address = bucket_of(request.META.get("REMOTE_ADDR", ""))
    attempts.take(name, address, limit=PER_ADDRESS)


def may_mail(user_key: str, purpose: str) -> bool:
    """Return whether another mail may go to an address, whether or not it has an account."""
    try:
        attempts.take(f"mail {purpose}", user_key, limit=MAILS_PER_ACCOUNT)
    except attempts.TooManyAttempts:
        return False
    return True


class RegisterView(AnonymousView):
    counted_as = "register"
    bodies = {"post": schemas.NewAccount}
    replies = {"post": schemas.AccountKey}
    errors = {"post": _FROM_ELSEWHERE | {409: "The address has an account"}}

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
    errors = {"post": _FROM_ELSEWHERE | {409: "The address has an account"}}

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
        # What only a new address has is not in the reply where it must not show.
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
        require_verified(user)
        project, text = keys.home_key(
            user, audit.of_request(request, actor=f"user:{user.id}"), name="made at login"
        )
        response = Response(
            {
                "api_key": text,
                "api_key_active": True,
                "tier": tier_name(project),
                "project_id": project and project.id,
            }
        )
        logins.start_session(request._request, response, user, method="password")
        return response


def require_verified(user: User) -> None:
    """Raise NotVerified, and mail a link, where addresses are verified and this one is not."""
    if not settings.REQUIRE_EMAIL_VERIFICATION or user.email_verified_at or user.is_superuser:
        return
    send_verification(user)
    raise NotVerified


def send_verification(user: User) -> None:
    """Mail a link that verifies the person's address, unless several went out just now."""
    if user.email and may_mail(user.email_key, "verify"):
        token = email_tokens.issue(user, Purpose.VERIFY)
        mailing.send(user.email, "verify", email=user.email, link=mailing.link("verify", token))


class PasswordResetView(AnonymousView):
    counted_as = "password reset"
    bodies = {"post": schemas.Address}
    replies = {"post": schemas.Notice}

    def post(self, request):
        """Ask for a link to set a new password

        The same reply for every address.
        """
        ask_for_reset(self.body.email)
        return Response({"message": MAIL_SENT})


def ask_for_reset(email: str) -> None:
    """Mail a link, unless several went out just now; counted for unknown addresses too."""
    if may_mail(passwords.bucket_name(email), "reset"):
        password_changes.ask_for_reset(email)


class PasswordResetConfirmView(AnonymousView):
    counted_as = "confirm"
    bodies = {"post": schemas.NewPassword}
    replies = {"post": schemas.PasswordWasReset}

    def post(self, request):
        """Set a new password by a mailed token

        Ends all sessions and the keys that logins gave. Other keys go on working: they are
        in the reply. 400 for a token that is not valid any more; a weak password (422)
        leaves it valid.
        """
        user = password_changes.reset(
            self.body.token, self.body.password, audit.of_request(request)
        )
        return Response(
            {
                "message": "The password is set; log in with it.",
                "keys": [remaining_key(key) for key in password_changes.usable_keys(user)],
            }
        )


def remaining_key(key: ApiKey) -> dict:
    """Return what is shown of a key that survives a reset."""
    use = getattr(key, "use", None)
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "project_id": key.project_id,
        "last_used_at": use and use.last_used_at,
    }


class VerifyEmailView(AnonymousView):
    counted_as = "confirm"
    bodies = {"post": schemas.VerificationToken}
    replies = {"post": schemas.Notice}
    errors = {"post": _FROM_ELSEWHERE | {401: "Neither the password nor a session of the account"}}

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


class MeView(PersonView):
    replies = {"get": schemas.Me}

    def get(self, request):
        """Get who is logged in, their projects, and the state of their key"""
        user = request.user
        now = {"revoked_at__isnull": True, "project__archived_at__isnull": True}
        active = keys.login_keys(user).filter(Q(expires_at=None) | Q(expires_at__gt=Now()), **now)
        memberships = Membership.objects.filter(user=user, project__archived_at=None)
        return Response(
            {
                "id": user.id,
                "email": user.email,
                "email_verified": user.email_verified_at is not None,
                "has_password": user.has_usable_password(),
                "is_staff": user.is_staff,
                "providers": sorted(user.identities.values_list("provider", flat=True)),
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
    return User.objects.filter(pk=user.pk, key_claim_until__gt=Now()).exists()


class KeyTaken(DomainError):
    """There is no key to retrieve: it was, or nobody did so in time."""

    status_code = 410
    code = "key_taken"
    headers = NO_STORE

    def __init__(self) -> None:
        super().__init__("The key was retrieved already, or expired; POST to regenerate-api-key")


class NotAsked(DomainError):
    """Not the person asked, but a browser that looks ahead, or another site's link."""

    code = "not_asked"
    headers = NO_STORE

    def __init__(self) -> None:
        super().__init__("The key is given to a request of the page itself only")


class RetrieveKeyView(PersonView):
    replies = {"get": schemas.AccountKey}
    errors = {"get": {400: "Not asked by the page itself", 410: "Taken already"}}

    def get(self, request):
        """Get the first key after a login by a provider, once

        Within a quarter of an hour. 410 when it was taken: `regenerate-api-key` makes another.
        """
        _check_asked(request)
        user = request.user
        # One statement decides who of several gets it; the key is made only now.
        claimed = User.objects.filter(pk=user.pk, key_claim_until__gt=Now())
        if not claimed.update(key_claim_until=None):
            raise KeyTaken
        return Response(_home_key(request, name="made at the first login"))

    def head(self, request):
        raise NotAsked


def _check_asked(request) -> None:
    purpose = " ".join(request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose"))
    site = request.headers.get("Sec-Fetch-Site", "none")
    if "prefetch" in purpose or "preview" in purpose or site not in ("none", "same-origin"):
        raise NotAsked


def _home_key(request, *, name: str) -> dict:
    project, text = keys.home_key(request.user, audit.of_request(request), name=name)
    return {
        "api_key": text,
        "api_key_active": True,
        "tier": tier_name(project),
        "project_id": project and project.id,
    }


class RegenerateKeyView(PersonView):
    replies = {"post": schemas.AccountKey}

    def post(self, request):
        """Replace the keys that logins gave by a new one"""
        require_verified(request.user)
        keys.revoke_keys(
            keys.login_keys(request.user), audit.of_request(request), reason="regenerated"
        )
        return Response(_home_key(request, name="regenerated"))


class LogoutView(PersonView):
    replies = {"post": schemas.Notice}

    def post(self, request):
        """End the session"""
        logins.end_session(request._request)
        return Response({"message": "Logged out."})


class LogoutEverywhereView(PersonView):
    replies = {"post": schemas.Notice}

    def post(self, request):
        """End all sessions of the person, this one included; open reset links die too"""
        user = request.user
        audit.record("logout.everywhere", audit.of_request(request))
        address_proofs.forget_tokens(user)
        logins.end_session(request._request)
        logins.end_all_sessions(user)
        return Response({"message": "Logged out everywhere."})


class ChangePasswordView(PersonView):
    bodies = {"post": schemas.PasswordChange}
    replies = {"post": schemas.PasswordWasReset}

    def post(self, request):
        """Change the password; other sessions end

        Keys go on working: they are in the reply.
        """
        _require_password(request, self.body.current_password)
        password_changes.change(request._request, request.user, self.body.password)
        usable = password_changes.usable_keys(request.user)
        return Response(
            {"message": "The password is changed.", "keys": [remaining_key(key) for key in usable]}
        )


class SendVerificationView(PersonView):
    replies = {"post": schemas.Notice}

    def post(self, request):
        """Mail the link again that verifies the address"""
        if request.user.email_verified_at is None:
            send_verification(request.user)
        return Response({"message": MAIL_SENT})


class DeleteAccountView(PersonView):
    bodies = {"post": schemas.PasswordProof}
    replies = {"post": schemas.Notice}
    errors = {"post": {409: "A project would lose its last owner"}}

    def post(self, request):
        """Delete the account

        Its keys are revoked. 409 while a project would lose its last owner: hand it over
        or archive it first. Accounts with a password need it.
        """
        if request.user.has_usable_password():
            _require_password(request, self.body.password)
        user = request.user
        delete_account(user, audit.of_request(request))
        logins.end_session(request._request)
        return Response({"message": "The account is deleted."})


def _require_password(request, password: str) -> None:
    if request.user.has_usable_password() and not passwords.is_right(request.user, password):
        raise WrongCurrentPassword


class WrongCurrentPassword(DomainError):
    status_code = 403
    code = "wrong_password"
    headers = NO_STORE

    def __init__(self) -> None:
        super().__init__("The password is wrong")


class AcceptInvitationView(PersonView):
    bodies = {"post": schemas.InvitationToken}
    replies = {"post": schemas.OwnProject}

    def post(self, request):
        """Accept an invitation for the address of who is logged in

        403 for another's: it stays open. A higher role that the person has is kept.
        """
        count_address(request, "confirm")
        membership = invitations.accept(self.body.token, request.user, audit.of_request(request))
        project = membership.project
        return Response(
            {
                "id": project.id,
                "name": project.name,
                "role": membership.role,
                "tier": tier_name(project),
            }
        )
