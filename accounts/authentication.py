"""DRF's adapters of accounts/admission.py: `request.auth` is a Caller or a Manager."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission

from accounts import admission, audit, csrf
from accounts.limits import LimitExceeded, log_quotas, request_limits
from accounts.management_access import Manager, NoManagementAccess, authenticate_manager, manager_of
from accounts.permissions import WRITES, Action, NotPermitted, action_of_method
from core.errors import DomainError
from core.reply_headers import note
from core.scoping import Caller


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.auth` to the key's Caller; there is no user."""

    def authenticate(self, request) -> tuple[None, Caller] | None:
        try:
            caller = admission.authenticate(request.headers)
        except admission.InvalidKey:
            _count(request, None)
            raise
        return None if caller is None else (None, caller)

    def authenticate_header(self, request) -> str:
        # Without one, DRF would answer 403 instead of 401.
        return "ApiKey"


class ProjectSessionAuthentication(SessionAuthentication):
    """Authenticates a logged-in person in the project that `X-Project-ID` names."""

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
    """Authenticates a logged-in person, in no project; ignores keys."""

    def enforce_csrf(self, request) -> None:
        csrf.check(request._request)

    def authenticate_header(self, request) -> str:
        return "Session"  # else DRF would answer 403 instead of 401


class IsPerson(BasePermission):
    """`True` for a logged-in person; raises NotLoggedIn otherwise."""

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
        action = required_action(request, view)
        address = request.META.get("REMOTE_ADDR", "")
        if isinstance(request.auth, admission.UnseenKey) and action in WRITES:
            request.auth = admission.admit(request.auth, action, address)  # creates its project
        try:
            _count(request, request.auth)
        except LimitExceeded:
            if getattr(view, "stores_log", False) and request.auth:
                log_quotas.check(request.auth, timezone.now())  # that lasts longer
            raise
        try:
            request.auth = admission.admit(request.auth, action, address)
        except NotPermitted:
            if view.kwargs and hasattr(view, "get_object") and view.detail:
                view.get_object()  # a 404 comes first: a 403 would reveal that the row exists
            raise
        return True


def required_action(request, view) -> Action:
    """Return the action that the view declares for the operation, else the method's."""
    declared = getattr(view, "access", {}).get(getattr(view, "operation", ""))
    return declared or action_of_method(request.method)


class ManagementTokenAuthentication(BaseAuthentication):
    """Sets `request.auth` to a Manager, by `Authorization: Bearer <MANAGEMENT_TOKEN>`."""

    def authenticate(self, request) -> tuple[None, Manager] | None:
        scheme, _, text = request.headers.get("Authorization", "").strip().partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer" or not text.strip():
            raise NoManagementAccess
        origin = audit.of_request(request._request, actor=audit.ANONYMOUS)
        return None, authenticate_manager(text.strip(), origin)

    def authenticate_header(self, request) -> str:
        return "Bearer"


class ManagementSessionAuthentication(SessionAuthentication):
    """Sets `request.auth` to a Manager, by a superuser's session. Checks the CSRF token."""

    def authenticate(self, request):
        session = super().authenticate(request)
        return None if session is None else (session[0], manager_of(session[0]))

    def enforce_csrf(self, request) -> None:
        csrf.require_token(request._request)


class IsManager(BasePermission):
    """`True` for managers. Raises NoManagementAccess."""

    def has_permission(self, request, view) -> bool:
        if not isinstance(request.auth, Manager):
            raise NoManagementAccess
        return True


def _count(request, caller: Caller | None) -> None:
    """Count a request to a view for its project or its address. Raises LimitExceeded."""
    bucket = admission.bucket_of(caller, request.META.get("REMOTE_ADDR", ""))
    if bucket is None or request.method == "OPTIONS":
        return
    if status := request_limits.take_in_thread(bucket):
        note(request._request, status.headers)


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """The document's scheme for keys; its description has the other headers."""

    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema):
        return {"type": "apiKey", "in": "header", "name": "X-API-Key"}


class ProjectSessionScheme(OpenApiAuthenticationExtension):
    """Undocumented: sessions are for pages, not for clients of the API."""

    target_class = "accounts.authentication.ProjectSessionAuthentication"
    name = []

    def get_security_definition(self, auto_schema):
        return []

    def get_security_requirement(self, auto_schema):
        return []


class ManagementSessionScheme(ProjectSessionScheme):
    target_class = "accounts.authentication.ManagementSessionAuthentication"


class PersonScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.PersonAuthentication"
    name = "PersonSession"

    def get_security_definition(self, auto_schema):
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Log in at `/login` in this browser: it sends the cookie by itself, "
            "whatever is entered here.",
        }


class ManagementTokenScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.ManagementTokenAuthentication"
    name = "ManagementToken"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "description": "`MANAGEMENT_TOKEN`"}
