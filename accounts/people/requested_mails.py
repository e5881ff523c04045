"""Mails that anyone may request for any address; a few of each kind in a window."""

from django.conf import settings
from django.db import transaction

from accounts import attempts, locks, mailing
from accounts.models import Purpose, User
from accounts.people import email_addresses, email_tokens
from core.errors import DomainError

PER_ACCOUNT = 3  # mails of one kind in a window
CHANGE_SENT = (
    "A mail with a link is on its way to the new address, unless several went out just now."
)
SENT = "If there is an account with this address, a mail is on its way."


class NotVerified(DomainError):
    """The password is right, but the address has to be verified first."""

    status_code = 403
    code = "not_verified"

    def __init__(self) -> None:
        super().__init__("Confirm your e-mail address first; a mail with the link is on its way")


def may_mail(email_key: str, purpose: str) -> bool:
    """Count a mail to an address, with or without an account; return whether it may be sent.

    `email_key` is a result of `email_addresses.key`.
    """
    try:
        attempts.take(f"mail {purpose}", email_key, limit=PER_ACCOUNT)
    except attempts.TooManyAttempts:
        return False
    return True


def require_verified(user: User) -> None:
    """Raise NotVerified, and mail a link, if the person `must_verify`."""
    if must_verify(user):
        send_verification(user)
        raise NotVerified


def must_verify(user: User) -> bool:
    """Return whether the person cannot log in with a password before verifying their address."""
    is_exempt = user.email_verified_at is not None or user.is_superuser
    return settings.REQUIRE_EMAIL_VERIFICATION and not is_exempt


def send_verification(user: User) -> None:
    """Mail a link that verifies the address, unless it is, or several were sent just now."""
    if not user.email or user.email_verified_at is not None:
        return
    if may_mail(user.email_key, "verify"):
        with transaction.atomic():
            if locks.person(user.pk) is None:
                return
            token = email_tokens.issue(user, Purpose.VERIFY)
        mailing.send(user.email, "verify", email=user.email, link=mailing.link("verify", token))


def ask_for_reset(email: str) -> None:
    """Mail a link that sets a new password, unless several were sent just now.

    Unknown addresses are counted too, so that the caller does not learn which have accounts.
    """
    if not may_mail(email_addresses.key(email), "reset"):
        return
    found = User.objects.with_email(email)
    with transaction.atomic():
        user = found and locks.person(found.pk)
        if user is None or not user.is_active:
            return
        token = email_tokens.issue(user, Purpose.RESET)
    mailing.send(user.email, "reset", email=user.email, link=mailing.link("reset", token))
