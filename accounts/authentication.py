"""DRF's adapters of accounts/admission.py: `request.auth` becomes a Caller."""

from collections.abc import Mapping
from uuid import UUID

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission

from accounts import admission
from accounts.admission import Action
from core import bridge, edge
from core.scoping import Caller


class ApiKeyAuthentication(BaseAuthentication):
    """`request.auth` becomes the Caller that the key names; there is no user."""

    def authenticate(self, request) -> tuple[None, Caller] | None:
        caller = admission.authenticate(request.headers)
        return None if caller is None else (None, caller)

    def authenticate_header(self, request) -> str:
        # Without one, DRF would answer 403 instead of 401.
        return "ApiKey"


class ProjectSessionAuthentication(SessionAuthentication):
    """A person who is logged in, in the project that `X-Project-ID` names."""

    def authenticate(self, request):
        try:
            project_id = UUID(request.headers.get("X-Project-ID", ""))
        except ValueError:
            return None
        session = super().authenticate(request)  # checks the CSRF token
        if session is None:
            return None
        caller = admission.authenticate_user(session[0], project_id)
        return None if caller is None else (session[0], caller)


class HasApiKey(BasePermission):
    """`True` if the caller may use the HTTP method; raises admission's errors otherwise."""

    def has_permission(self, request, view) -> bool:
        action = Action.READ if request.method in SAFE_METHODS else Action.WRITE
        request.auth = admission.admit(request.auth, action)
        return True


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """The one scheme of the document; the other ways of sending a key are in its description."""

    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema):
        return {"type": "apiKey", "in": "header", "name": "X-API-Key"}


class ProjectSessionScheme(OpenApiAuthenticationExtension):
    """Sessions are of the admin's pages; the document offers keys."""

    target_class = "accounts.authentication.ProjectSessionAuthentication"
    name = []

    def get_security_definition(self, auto_schema):
        return []

    def get_security_requirement(self, auto_schema):
        return []


def presents_key(headers: Mapping[str, str]) -> bool:
    """Return whether the edge can admit a request; without a key there may be a session."""
    return admission.presented_key(headers) != ("", "")


async def admit_request(request: edge.Request) -> Caller:
    """Return the caller of a request to the edge that presents a key.

    Raises what `admission.authenticate` and `admission.admit` do.
    """
    action = Action.READ if request.method in SAFE_METHODS else Action.WRITE
    if caller := admission.cached_caller(request.headers):
        return admission.admit(caller, action)

    def look_up() -> Caller:
        return admission.admit(admission.authenticate(request.headers), action)

    return await bridge.in_thread(edge.with_connection, look_up)
