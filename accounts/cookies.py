"""Signed cookies that scripts and other sites cannot read."""

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse


def keep(response: HttpResponse, name: str, value: object, *, salt: str, max_age: int) -> None:
    """Set a cookie with a JSON value; `max_age` is in seconds."""
    response.set_cookie(
        name,
        signing.dumps(value, salt=salt, compress=True),
        max_age=max_age,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def read(request: HttpRequest, name: str, *, salt: str, max_age: int) -> object:
    """Return the value of a cookie; None if it is missing, expired, or has a bad signature."""
    try:
        return signing.loads(request.COOKIES.get(name, ""), salt=salt, max_age=max_age)
    except signing.BadSignature:
        return None


def drop(response: HttpResponse, name: str) -> None:
    """Delete a cookie."""
    response.delete_cookie(name, path=settings.SESSION_COOKIE_PATH, samesite="Lax")
