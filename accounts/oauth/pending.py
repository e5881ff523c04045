"""A new identity without a verified address, until its person has proven one by mail.

It is kept in a signed cookie of the browser that logged in with it, which has to open the link.
Otherwise the reader of the mail could connect somebody else's identity with their own account.
"""

from django.http import HttpRequest, HttpResponse

from accounts import cookies
from accounts.oauth.providers import Profile

_COOKIE = "oauth_pending"
_SALT = "accounts.oauth.pending"
_SECONDS = 900


def keep(response: HttpResponse, profile: Profile) -> None:
    """Set the cookie that names the identity."""
    value = [profile.provider, profile.subject]
    cookies.keep(response, _COOKIE, value, salt=_SALT, max_age=_SECONDS)


def read(request: HttpRequest) -> Profile | None:
    """Return the identity that the browser logged in with in the last 15 minutes, or None."""
    value = cookies.read(request, _COOKIE, salt=_SALT, max_age=_SECONDS)
    return None if value is None else Profile(*value, verified_email=None)
