"""Whose password it is: one check for the API, the pages and the admin.

Guessing is slow, and the owner still gets in (OWASP's "device cookies"): attempts count by
account, and apart from those for each browser that has logged in to the account before.
An attacker who fills the account's bucket does not fill that of the owner's browser.
"""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts import attempts, audit, known_browsers
from accounts.client_addresses import bucket_of
from accounts.models import AuditOutcome, User
from core.errors import DomainError, InvalidInput, issue

PER_ACCOUNT = 5  # failures in a window from browsers that are not known
PER_BROWSER = 10  # from one that is known
PER_ADDRESS = 50  # for all accounts together
MAX_LENGTH = 256  # characters; longer ones only cost time


class WrongPassword(DomainError):
    """No such account, no such password, or an account that is not active: one text for all."""

    status_code = 401
    code = "wrong_password"
    headers = {"Cache-Control": "no-store"}

    def __init__(self) -> None:
        super().__init__("E-mail address or password is wrong")


class PasswordBackend(ModelBackend):
    """Names people by e-mail address, else by user name, as superusers of commands have."""

    def authenticate(self, request, username=None, password=None, **kwargs):
        if not username or password is None:
            return None
        user = find(username)
        if user is None:
            make_password(password)  # as long as for an account that exists
            return None
        is_right = user.check_password(password)
        return user if is_right and self.user_can_authenticate(user) else None


def find(name: str) -> User | None:
    """Return the person of an e-mail address or user name."""
    name = name.strip()
    if "\x00" in name:
        return None
    return User.objects.with_email(name) or User.objects.filter(username=name).first()


def check(request: HttpRequest, name: str, password: str) -> User:
    """Return the person whose password it is.

    Raises WrongPassword, and attempts.TooManyAttempts without looking at the password.
    """
    browser = known_browsers.browser_of(request, bucket_name(name))
    taken = _take(request, bucket_name(name), browser)
    user = PasswordBackend().authenticate(request, name, password[: MAX_LENGTH + 1])
    if user is None:
        account = find(name)
        audit.record(
            "login.password",
            audit.of_request(request),
            outcome=AuditOutcome.FAILURE,
            user_id=account and account.id,
            known_browser=browser is not None,
        )
        raise WrongPassword
    attempts.give_back(*taken)
    return user


def is_right(user: User, password: str) -> bool:
    """Check the password of an account that a mailed token or a session names already.

    Raises attempts.TooManyAttempts.
    """
    bucket = attempts.take("confirm account", str(user.pk), limit=PER_ACCOUNT)
    if not user.check_password(password[: MAX_LENGTH + 1]):
        return False
    attempts.give_back(bucket)
    return True


def bucket_name(name: str) -> str:
    return name.strip().lower()


def end_lock(user: User) -> None:
    """Empty the account's bucket of failures."""
    for name in filter(None, (user.email_key, user.username.lower())):
        attempts.forget("login account", name)


def validate(password: str, user: User | None = None) -> None:
    """Raise InvalidInput for a password that is too weak or too long."""
    try:
        if len(password) > MAX_LENGTH:
            raise ValidationError(f"The password is longer than {MAX_LENGTH} characters.")
        validate_password(password, user)
    except ValidationError as error:
        # The input is not repeated: it is a password.
        raise InvalidInput(
            [issue("password", ["body", "password"], text, None) for text in error.messages]
        ) from None


def _take(request: HttpRequest, name: str, browser: str | None) -> tuple[bytes, ...]:
    if browser is not None:
        return (attempts.take("login browser", browser, name, limit=PER_BROWSER),)
    account = attempts.take("login account", name, limit=PER_ACCOUNT)
    address = bucket_of(request.META.get("REMOTE_ADDR", ""))
    return account, attempts.take("login address", address, limit=PER_ADDRESS)
