"""The check of passwords, for the API, the pages and the admin.

Guessing is slow, and does not lock the owner out (OWASP's "device cookies"): attempts are
counted by account, and separately for each browser that has logged in to the account before. An
attacker who fills the account's bucket does not fill that of the owner's browser.

They are counted twice: by the typed name, and by the account, which has a user name and an
address. Only the typed name's bucket leads to 429, so that nobody learns which two names are of
one account.
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

# Failures in a window. By unknown browsers: for an account from one address, and from all
# addresses. By one known browser. From one address, for all accounts.
PER_ACCOUNT_AND_ADDRESS = 5
PER_ACCOUNT = 10
PER_BROWSER = 10
PER_ADDRESS = 50
MAX_LENGTH = 256  # characters; hashing more only costs time


class WrongPassword(DomainError):
    """The account does not exist or is not active, or the password is wrong; one text for all."""

    status_code = 401
    code = "wrong_password"

    def __init__(self) -> None:
        super().__init__("E-mail address or password is wrong")


class WrongCurrentPassword(DomainError):
    """The password that a logged-in person has to confirm is wrong."""

    status_code = 403
    code = "wrong_password"

    def __init__(self) -> None:
        super().__init__("The current password is wrong")


class PasswordBackend(ModelBackend):
    """Authenticates by user name or e-mail address. Superusers made by commands have the former."""

    def authenticate(self, request, username=None, password=None, **kwargs):
        if not username or password is None:
            return None
        user = find(username)
        return user if _is_theirs(user, password) else None


def find(name: str) -> User | None:
    """Return the person with this user name or e-mail address; None without one.

    User names come first: operators choose them, while anybody may register an address.
    """
    name = name.strip()
    if "\x00" in name:
        return None
    return User.objects.filter(username=name).first() or User.objects.with_email(name)


def check(request: HttpRequest, name: str, password: str) -> User:
    """Return the person with this name, if the password is theirs. Counts the attempt.

    Raises WrongPassword, and attempts.TooManyAttempts without a look at the password.
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
        # The account's bucket is full of guesses under its other name. A 429 would reveal that
        # both names are of one account, so the password counts as wrong.
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
    """Return whether the password is right. Takes as long for an account that does not exist."""
    password = password[: MAX_LENGTH + 1]
    if account is None:
        make_password(password)
        return False
    return account.check_password(password) and account.is_active


def is_right(user: User, password: str) -> bool:
    """Return whether the password of an account, known by a token or a session, is right.

    Counts the attempt. Raises attempts.TooManyAttempts.
    """
    # The hash is part of the name, as of all buckets of accounts: a new password has an empty one.
    bucket = attempts.take(
        "confirm account", str(user.pk), user.password, limit=PER_ACCOUNT_AND_ADDRESS
    )
    if not user.check_password(password[: MAX_LENGTH + 1]):
        return False
    attempts.give_back(bucket)
    return True


def require_current(user: User, password: str) -> None:
    """Raise WrongCurrentPassword unless the person's password is right, or they have none.

    Raises attempts.TooManyAttempts.
    """
    if user.has_usable_password() and not is_right(user, password):
        raise WrongCurrentPassword


def validate(password: str, user: User | None = None) -> None:
    """Raise InvalidInput for a password that is too weak or too long."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        # Without the input, which is a password.
        raise InvalidInput(
            [issue("password", ["body", "password"], text, None) for text in error.messages]
        ) from None


def _take(
    request: HttpRequest, browser: str | None, kind: str, who: str, stamp: str
) -> tuple[bytes, ...]:
    """Count an attempt for a typed name, or for the account that has it; return the buckets.

    `kind` is `name` or `account`, `who` the name or the account's id. `stamp` is the password's
    hash, so that the buckets of a new password are empty. Raises attempts.TooManyAttempts.
    """
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
