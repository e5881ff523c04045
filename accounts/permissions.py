"""The permissions of roles and of scopes in a project."""

from enum import StrEnum
from uuid import UUID

from rest_framework.permissions import SAFE_METHODS

from accounts.models import Membership, Project, Role, Scope, User
from core.errors import DomainError


class Action(StrEnum):
    """What a request does in a project."""

    READ = "read"
    LOG = "log"
    WRITE = "write"
    MANAGE_KEYS = "manage_keys"
    AUDIT = "audit"
    ADMINISTER = "administer"


_TEXTS = {
    Action.READ: "read this project's data",
    Action.LOG: "write this project's data",
    Action.WRITE: "write this project's data",
    Action.MANAGE_KEYS: "manage this project's keys",
    Action.AUDIT: "read this project's audit log",
    Action.ADMINISTER: "administer this project",
}
# The actions that create the project of an unknown key.
WRITES = frozenset({Action.LOG, Action.WRITE})
_USE = frozenset({Action.READ, Action.LOG, Action.WRITE, Action.MANAGE_KEYS})
PERMISSIONS = {
    Role.OWNER: frozenset(Action),
    Role.ADMIN: frozenset(Action),
    Role.MEMBER: _USE,
    Role.VIEWER: frozenset({Action.READ}),
}
SCOPE_PERMISSIONS = {
    Scope.READ: frozenset({Action.READ}),
    Scope.LOG: frozenset({Action.LOG}),
    # Keys administer neither members nor the project itself.
    Scope.ALL: _USE | {Action.AUDIT},
}


class NotPermitted(DomainError):
    """The caller is authenticated, but may not do this."""

    status_code = 403
    code = "not_permitted"

    def __init__(self, action: Action) -> None:
        super().__init__(f"Permission to {_TEXTS[action]} is missing")


def action_of_method(method: str) -> Action:
    """Return READ for methods that change nothing, else WRITE."""
    return Action.READ if method in SAFE_METHODS else Action.WRITE


def role_permissions(user: User, project_id: UUID) -> frozenset[Action] | None:
    """Return what a person may do in a project; None if they may not see it."""
    membership = Membership.objects.filter(user=user, project=project_id).first()
    own = PERMISSIONS[Role(membership.role)] if membership else frozenset()
    if not (user.is_superuser or user.is_staff):
        return own or None
    if not Project.objects.filter(id=project_id).exists():
        return None
    return frozenset(Action) if user.is_superuser else own | PERMISSIONS[Role.VIEWER]


def key_permissions(scopes: list[str]) -> frozenset[Action]:
    """Return what a key of these scopes may do; unknown scopes add nothing."""
    return frozenset().union(*(SCOPE_PERMISSIONS.get(scope, ()) for scope in scopes))


def widest_scopes(permissions: frozenset[Action] | None) -> list[Scope]:
    """Return the widest scopes of a key within these permissions; None is all."""
    if permissions is None or SCOPE_PERMISSIONS[Scope.ALL] <= permissions:
        return [Scope.ALL]
    return [scope for scope in (Scope.READ, Scope.LOG) if SCOPE_PERMISSIONS[scope] <= permissions]
