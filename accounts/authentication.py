"""DRF's adapters of accounts/admission.py: `request.auth` becomes a Caller."""

from collections.abc import Mapping
from uuid import UUID

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission

from accounts import admission, csrf
from accounts.admission import Action
from core import bridge, edge
from core.errors import DomainError
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

    def enforce_csrf(self, request) -> None:
        csrf.check(request._request)


class PersonAuthentication(SessionAuthentication):
    """A person who is logged in, whatever the project; keys count for nothing here."""

    def enforce_csrf(self, request) -> None:
        csrf.check(request._request)

    def authenticate_header(self, request) -> str:
        return "Session"  # else DRF would answer 403 instead of 401


class IsPerson(BasePermission):
    """`True` for a person who is logged in; raises NotLoggedIn otherwise."""

    def has_permission(self, request, view) -> bool:
        if request.user is None or not request.user.is_authenticated:
            raise NotLoggedIn
        return True


class NotLoggedIn(DomainError):
    status_code = 401
    code = "not_logged_in"

    def __init__(self) -> None:
        super().__init__("Log in first")


class HasApiKey(BasePermission):
    """`True` if the caller may use the HTTP method; raises admission's errors otherwise."""

    def has_permission(self, request, view) -> bool:
        try:
            request.auth = admission.admit(request.auth, required_action(request, view))
        except admission.NotPermitted:
            if view.kwargs and hasattr(view, "get_object") and view.detail:
                view.get_object()  # 404 comes first: 403 must not prove that a row exists
            raise
        return True


def required_action(request, view) -> Action:
    """Return what the view declares for the operation, else what the method stands for."""
    declared = getattr(view, "access", {}).get(getattr(view, "operation", ""))
    return declared or action_of_method(request.method)


def action_of_method(method: str) -> Action:
    """Return READ for methods that change nothing, else WRITE."""
    return Action.READ if method in SAFE_METHODS else Action.WRITE


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


class ProjectSessionScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.ProjectSessionAuthentication"
    name = "Session"

    def get_security_definition(self, auto_schema):
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class PersonScheme(ProjectSessionScheme):
    target_class = "accounts.authentication.PersonAuthentication"
    name = "PersonSession"


def presents_key(headers: Mapping[str, str]) -> bool:
    """Return whether the edge can admit a request; without a key there may be a session."""
    return admission.presented_key(headers) != ("", "")


async def admit_request(request: edge.Request) -> Caller | None:
    """Return the caller of a request to the edge that presents a key.

    None leaves a refusal to the view of the path, which looks for the row first. Raises
    what `admission.authenticate` and `admission.admit` do.
    """
    action = request.route.access or action_of_method(request.method)

    def look_up() -> Caller:
        return admission.admit(admission.authenticate(request.headers), action)

    try:
        if caller := admission.cached_caller(request.headers):
            return admission.admit(caller, action)
        return await bridge.in_thread(edge.with_connection, look_up)
    except admission.NotPermitted:
        if request.route.is_fixed:
            raise
        return None
