"""Who calls: the key in a header becomes a Caller (docs/http-contract.md, section "Keys")."""

from collections.abc import Callable

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, BasePermission

from accounts import keyring, keys
from core.errors import DomainError
from core.scoping import Caller

MISSING = "Authentication required: provide X-API-Key or (X-User-ID + X-Project-ID)"


class UnusableKey(DomainError):
    """The key cannot be one: too long, or with whitespace inside."""

    code = "unusable_key"


def presented_key(header: Callable[[str], str | None]) -> tuple[str, str]:
    """The key a request carries and the header it came in; ("", "") without one.

    `header` reads a header by its WSGI name. `X-API-Key` wins over
    `X-Project-Key`, and both over `Authorization: Bearer`; an empty one is absent.
    """
    for name, shown in (("HTTP_X_API_KEY", "X-API-Key"), ("HTTP_X_PROJECT_KEY", "X-Project-Key")):
        if key := (header(name) or "").strip():
            return key, shown
    scheme, _, token = (header("HTTP_AUTHORIZATION") or "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip(), "Authorization"
    return "", ""


class ApiKeyAuthentication(BaseAuthentication):
    """`request.auth` becomes the Caller that the key opens; there is no user."""

    def authenticate(self, request) -> tuple[None, Caller] | None:
        key, header = presented_key(request.META.get)
        if not key:
            return None
        try:
            keys.check_form(key)
            return None, keyring.authenticate_key(key, writing=request.method not in SAFE_METHODS)
        except keys.MalformedKey as error:
            raise UnusableKey(f"{header} {error.reason}") from None
        except keyring.KeyRefused:
            raise AuthenticationFailed("Invalid API key") from None

    def authenticate_header(self, request) -> str:
        # Without one, DRF would answer 403 instead of 401.
        return "ApiKey"


class HasApiKey(BasePermission):
    """`True` if the request carries a key that opens a project; raises 401 otherwise."""

    def has_permission(self, request, view) -> bool:
        if isinstance(request.auth, Caller):
            return True
        raise NotAuthenticated(MISSING)


def cached_caller(environ: dict) -> Caller | None:
    """The caller of a request whose key this process knows to be good, without any query.

    None says nothing about the key: the ordinary way has to look.
    """
    key, _ = presented_key(environ.get)
    return keyring.remembered(keys.digest(key)) if key else None


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = ["ApiKey", "ProjectKey", "Bearer"]

    def get_security_definition(self, auto_schema):
        return [
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            {"type": "apiKey", "in": "header", "name": "X-Project-Key"},
            {"type": "http", "scheme": "bearer"},
        ]

    def get_security_requirement(self, auto_schema):
        return [{name: []} for name in self.name]  # any one of them
