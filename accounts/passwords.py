"""Whose password it is: one check for the API, the pages and the admin.

Guessing is slow, and the owner still gets in (OWASP's "device cookies"): attempts count by
account, and apart from those for each browser that has logged in to the account before.
An attacker who fills the account's bucket does not fill that of the owner's browser.
They count twice: by the name that was typed, which alone decides about 429, so that nobody
learns which names are an account's; and by account, which may have a user name and an address.
"""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts import attempts, audit
from accounts.client_networks import client_network
from accounts.models import AuditOutcome, User
from accounts.people import email_addresses, known_browsers
from core.errors import DomainError, InvalidInput, issue

# Failures in a window: for an account from one address and from all of them, by browsers
# that are not known; by one that is; from one address for all accounts.
PER_ACCOUNT_AND_ADDRESS = 5
PER_ACCOUNT = 10
PER_BROWSER = 10
PER_ADDRESS = 50
MAX_LENGTH = 256  # characters; longer ones only cost time


class WrongPassword(DomainError):
    """No such account, no such password, or an account that is not active: one text for all."""

    status_code = 401
    code = "wrong_password"

    def __init__(self) -> None:
        super().__init__("E-mail address or password is wrong")


class WrongCurrentPassword(DomainError):
    """The logged-in person is asked for their password, and it is another one."""

    status_code = 403
    code = "wrong_password"

    def __init__(self) -> None:
        super().__init__("The current password is wrong")


class PasswordBackend(ModelBackend):
    """Names people by user name, as superusers of commands have, else by e-mail address."""

    def authenticate(self, request, username=None, password=None, **kwargs):
        if not username or password is None:
            return None
        user = find(username)
        return user if _is_theirs(user, password) else None


def find(name: str) -> User | None:
    """Return the person of a user name or e-mail address.

    User names first: operators choose them, while anybody may register an address.
    """
    name = name.strip()
    if "\x00" in name:
        return None
    return User.objects.filter(username=name).first() or User.objects.with_email(name)


def check(request: HttpRequest, name: str, password: str) -> User:
    """Return the person whose password it is.

    Raises WrongPassword, and attempts.TooManyAttempts without looking at the password.
    """
    account = find(name)
    name = email_addresses.key(name)
    stamp = account.password if account else ""
    browser = known_browsers.browser_of(request, name)
    taken = _take(request, browser, "name", name, stamp)
    checked_account = account
    try:
        taken += _take(request, browser, "account", str(account.pk) if account else name, stamp)
    except attempts.TooManyAttempts:
        # Full of guesses under the account's other name. A 429 would show that both names are
        # one account's; an unknown name takes the same steps, and never comes here.
        checked_account = None
    if not _is_theirs(checked_account, password):
        audit.record(
            "login.password",
            audit.of_request(request),
            outcome=AuditOutcome.FAILURE,
            user_id=account and account.id,
        )
        raise WrongPassword
    attempts.give_back(*taken)
    return account


def _is_theirs(account: User | None, password: str) -> bool:
    """Check a password; takes as long for an account that does not exist."""
    password = password[: MAX_LENGTH + 1]
    if account is None:
        make_password(password)
        return False
    return account.check_password(password) and account.is_active


def is_right(user: User, password: str) -> bool:
    """Check the password of an account that a mailed token or a session names already.

    Raises attempts.TooManyAttempts.
    """
    # With the hash in its name, as all buckets of the account: a new password has an empty one.
    bucket = attempts.take(
        "confirm account", str(user.pk), user.password, limit=PER_ACCOUNT_AND_ADDRESS
    )
    if not user.check_password(password[: MAX_LENGTH + 1]):
        return False
    attempts.give_back(bucket)
    return True


def require_current(user: User, password: str) -> None:
    """Raise WrongCurrentPassword unless it is the logged-in person's, who may have none.

    Raises attempts.TooManyAttempts.
    """
    if user.has_usable_password() and not is_right(user, password):
        raise WrongCurrentPassword


def validate(password: str, user: User | None = None) -> None:
    """Raise InvalidInput for a password that is too weak or too long."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        # The input is not repeated: it is a password.
        raise InvalidInput(
            [issue("password", ["body", "password"], text, None) for text in error.messages]
        ) from None


def _take(
    request: HttpRequest, browser: str | None, kind: str, who: str, stamp: str
) -> tuple[bytes, ...]:
    """Count an attempt for a typed name, or for the account that has it."""
    # With the hash in their names: a new password has empty ones.
    if browser is not None:
        return (attempts.take(f"login browser {kind}", browser, who, stamp, limit=PER_BROWSER),)
    address = client_network(request)
    buckets = (
        attempts.take(f"login {kind}", who, stamp, address, limit=PER_ACCOUNT_AND_ADDRESS),
        attempts.take(f"login {kind} anywhere", who, stamp, limit=PER_ACCOUNT),
    )
    if kind == "account":
        return buckets
    return (*buckets, attempts.take("login address", address, limit=PER_ADDRESS))
