"""A cookie by which a browser that logged in before is known again.

It opens nothing: it only has the browser's failures counted apart from everybody else's.
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
    """Set the cookie by which the browser is known for this person from then on."""
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
