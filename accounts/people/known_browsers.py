"""A cookie that identifies a browser which logged in before.

It gives no access: failed logins of the browser are counted separately.
"""

import secrets

from django.http import HttpRequest, HttpResponse

from accounts import cookies
from accounts.models import User

COOKIE = "known_browser"
_SALT = "accounts.known_browsers"
_MAX_AGE = 180 * 86_400  # seconds
_MAX_PEOPLE = 5


def browser_of(request: HttpRequest, name: str) -> str | None:
    """Return the id of a browser that has logged in under this name; None for any other."""
    browser, names = _read(request)
    return browser if name in names else None


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set the cookie that makes the browser known for this person."""
    browser, names = _read(request)
    own = [name for name in (user.email_key, user.username.lower()) if name]
    names = [*own, *(name for name in names if name not in own)][: 2 * _MAX_PEOPLE]
    value = [browser or secrets.token_hex(16), names]
    cookies.keep(response, COOKIE, value, salt=_SALT, max_age=_MAX_AGE)


def _read(request: HttpRequest) -> tuple[str | None, list[str]]:
    value = cookies.read(request, COOKIE, salt=_SALT, max_age=_MAX_AGE)
    if value is None:
        return None, []
    browser, names = value
    return browser, names
