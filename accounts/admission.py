"""Authenticate and authorize requests. No other module has rules about access.

    caller = admission.authenticate(headers)
    bucket = admission.bucket_of(caller, address)     counted by accounts/request_limits.py
    caller = admission.admit(caller, Action.WRITE, address)
    manager = admission.authenticate_manager(bearer, origin)

DRF's classes (accounts/authentication.py), sessions, the edge and `/mcp` adapt these functions.
Source: docs/http-contract.md, section "Keys".
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import api_keys, audit, key_cache, key_uses, request_limits
from accounts.models import (
    ApiKey,
    AuditEvent,
    AuditOutcome,
    Membership,
    Project,
    RetiredKey,
    Role,
    Scope,
    Tier,
    User,
)
from accounts.request_buckets import Bucket, of_address
from core.errors import DomainError
from core.scoping import Caller, Limits

NO_PROJECT = UUID(int=0)  # owns no row
_CHALLENGE = {"WWW-Authenticate": "ApiKey"}
_MAX_GUESSES = 10  # of the management token, from one address in a minute
_GUESS = "manage.access"  # the audit log's name of a refused one


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
# What opens the project of a key never seen before.
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
    # Members and the project itself are people's: no key administers them.
    Scope.ALL: _USE | {Action.AUDIT},
}


class Unauthenticated(DomainError):
    """The request carries no credentials."""

    status_code = 401
    code = "not_authenticated"
    headers = _CHALLENGE

    def __init__(self) -> None:
        super().__init__("Authentication required: provide X-API-Key or Authorization: Bearer")


class InvalidKey(DomainError):
    """The key is unknown (in strict mode), revoked or expired, or its project is archived."""

    status_code = 401
    code = "invalid_key"
    headers = _CHALLENGE

    def __init__(self) -> None:
        super().__init__("Invalid API key")


class UnusableKey(DomainError):
    """The text cannot be a key: too long, or with whitespace inside."""

    code = "unusable_key"


class NotPermitted(DomainError):
    """The caller is known, and may not do this."""

    status_code = 403
    code = "not_permitted"

    def __init__(self, action: Action) -> None:
        super().__init__(f"Permission to {_TEXTS[action]} is missing")


class ProjectArchived(DomainError):
    """A person's request in a project that was archived; keys of such a project are refused."""

    status_code = 403
    code = "project_archived"

    def __init__(self) -> None:
        super().__init__("The project is archived")


class NoManagementAccess(DomainError):
    """The request shows neither the management token nor the session of a superuser."""

    status_code = 401
    code = "not_authenticated"
    headers = {"WWW-Authenticate": "Bearer"}

    def __init__(self, reason: str = "missing or invalid Authorization header") -> None:
        super().__init__(reason)


class NotSuperuser(DomainError):
    status_code = 403
    code = "not_permitted"

    def __init__(self) -> None:
        super().__init__("Only superusers manage projects and tokens")


class TooManyGuesses(DomainError):
    status_code = 429
    code = "too_many_guesses"
    headers = {"Retry-After": "60"}

    def __init__(self) -> None:
        super().__init__("Too many wrong management tokens from this address; try again later")


@dataclass(frozen=True, slots=True)
class Manager:
    """Who may manage all projects and their tokens; a user unless by the management token."""

    user_id: UUID | None = None


class DefaultTierMissing(DomainError):
    """The operator's default tier was deleted after the start, which checks it."""

    status_code = 503
    code = "default_tier_missing"

    def __init__(self) -> None:
        super().__init__("New keys cannot be used: the tier of LLMRING_DEFAULT_TIER is missing")


@dataclass(frozen=True, slots=True)
class UnseenKey(Caller):
    """The caller of a key never seen before, which opens a project at its first write."""

    digest: bytes = b""


def authenticate(headers: Mapping[str, str]) -> Caller | None:
    """Return the caller that the request's key names; None without a key.

    Raises UnusableKey, InvalidKey. One query, unless the key is in the cache.
    """
    key, header = presented_key(headers)
    if not key:
        return None
    try:
        api_keys.check_form(key)
    except api_keys.MalformedKey as error:
        raise UnusableKey(f"{header} {error.reason}") from None
    return authenticate_key(key)


def authenticate_key(key: str) -> Caller:
    """Return the caller of a well-formed key. Raises InvalidKey.

    An id is never a key: whoever sees one in a reply could use it as such.
    """
    if api_keys.is_id(key):
        raise InvalidKey
    digest = api_keys.digest(key)
    if caller := key_cache.get(digest):
        return caller
    generation = key_cache.listener.generation
    row = _look_up(digest)
    if row is None:
        if settings.API_KEY_VALIDATION_MODE == "strict":
            raise InvalidKey
        return UnseenKey(project_id=NO_PROJECT, digest=digest)
    key_cache.put(digest, *row, generation=generation)
    return row[0]


def authenticate_user(user: User, project_id: UUID) -> Caller | None:
    """Return the caller that a person is in a project; None for one they are no member of.

    Superusers may do everything in every project, other staff read it. Raises ProjectArchived.
    """
    permissions = role_permissions(user, project_id)
    if permissions is None:
        return None
    project = Project.objects.select_related("tier").get(id=project_id)
    if project.archived_at:
        raise ProjectArchived
    return Caller(
        project_id=project_id,
        user_id=user.id,
        permissions=permissions,
        limits=limits_of(project.tier),
    )


def authenticate_manager(bearer: str, origin: audit.Origin) -> Manager:
    """Return the manager that the text after `Authorization: Bearer` proves.

    Refusals are recorded, and count against the address (an IPv6 network of 64 bits)
    that they come from. Raises NoManagementAccess, TooManyGuesses.
    """
    if not settings.MANAGEMENT_TOKEN:
        raise NoManagementAccess(
            "The management token is off: set MANAGEMENT_TOKEN where the server runs"
        )
    since = timezone.now() - timedelta(minutes=1)
    guesses = AuditEvent.objects.since(since).filter(action=_GUESS)
    if guesses.from_network_of(origin.client_ip)[:_MAX_GUESSES].count() >= _MAX_GUESSES:
        raise TooManyGuesses
    # Digests are compared: the time shows nothing, not even the length.
    if not hmac.compare_digest(api_keys.digest(bearer), api_keys.digest(settings.MANAGEMENT_TOKEN)):
        reason = "invalid management token"
        audit.record(_GUESS, origin, outcome=AuditOutcome.DENIED, reason=reason)
        raise NoManagementAccess(reason)
    return Manager()


def manager_of(user: User) -> Manager:
    """Return a logged-in superuser as a manager. Raises NotSuperuser."""
    if not (user.is_superuser and user.is_staff and user.is_active):
        raise NotSuperuser
    return Manager(user_id=user.id)


def role_permissions(user: User, project_id: UUID) -> frozenset[Action] | None:
    """Return what a person may do in a project; None for one they do not see."""
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
    """Return the scopes of the key that may most within these permissions; None has all."""
    if permissions is None or SCOPE_PERMISSIONS[Scope.ALL] <= permissions:
        return [Scope.ALL]
    return [scope for scope in (Scope.READ, Scope.LOG) if SCOPE_PERMISSIONS[scope] <= permissions]


def _permissions_of_key(scopes: list[str]) -> frozenset[Action] | None:
    # None is checked in no time, and what only people may do asks for no key.
    return None if Scope.ALL in scopes else key_permissions(scopes)


def cached_caller(headers: Mapping[str, str]) -> Caller | None:
    """Return the caller if it is known without a query; with None the key has to be looked up."""
    key, _ = presented_key(headers)
    return key_cache.get(api_keys.digest(key)) if key else None


def bucket_of(caller: Caller | None, address: str) -> Bucket | None:
    """Return what a request counts for: the caller's project, without one its address.

    None if that has no limit.
    """
    if caller is None or caller.project_id == NO_PROJECT:
        return of_address(
            address, per_minute=settings.PUBLIC_REQUESTS_PER_MINUTE, what="requests per minute"
        )
    if caller.limits is None or caller.limits.requests_per_minute is None:
        return None
    return Bucket(caller.project_id, caller.limits.requests_per_minute)


def admit(caller: Caller | None, action: Action, address: str = "") -> Caller:
    """Return the caller, if permitted to do this.

    A key never seen before opens its project here, at its first write; so many from an
    address in a minute.
    Raises Unauthenticated, NotPermitted, InvalidKey, LimitExceeded, DefaultTierMissing.
    """
    if caller is None:
        raise Unauthenticated
    if caller.permissions is not None and action not in caller.permissions:
        raise NotPermitted(action)
    if isinstance(caller, UnseenKey):
        return _open_project(caller.digest, address) if action in WRITES else caller
    if caller.api_key_id is not None:
        key_uses.note(caller.api_key_id)
    return caller


def presented_key(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the key that a request carries, and the header it came in; ("", "") without one.

    `X-API-Key` wins over `X-Project-Key`, and both over `Authorization: Bearer`; an
    empty one is absent.
    """
    for name in ("X-API-Key", "X-Project-Key"):
        if key := (headers.get(name) or "").strip():
            return key, name
    scheme, _, token = (headers.get("Authorization") or "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip(), "Authorization"
    return "", ""


def _look_up(digest: bytes) -> tuple[Caller, datetime | None] | None:
    """Return the key's caller and expiry; None for a key never seen. Raises InvalidKey."""
    keys = ApiKey.objects.filter(Q(digest=digest) | Q(previous_digest=digest))
    row = keys.select_related("project__tier").first()
    if row is None:
        if RetiredKey.objects.filter(digest=digest).exists():
            raise InvalidKey
        return None
    ends = [row.expires_at]
    if bytes(row.digest) != digest:
        ends.append(row.previous_expires_at)
    expires_at = min(filter(None, ends), default=None)
    is_over = expires_at is not None and expires_at <= timezone.now()
    if row.state != "active" or is_over or row.project.archived_at:
        raise InvalidKey
    caller = Caller(
        project_id=row.project_id,
        api_key_id=row.id,
        permissions=_permissions_of_key(row.scopes),
        limits=limits_of(row.project.tier),
    )
    return caller, expires_at


def limits_of(tier: Tier | None) -> Limits | None:
    """Return what a tier limits; None without one."""
    return tier and Limits(tier.requests_per_minute, tier.logs_per_month)


def _default_tier() -> Tier | None:
    """Return the tier of projects that unknown keys open. Raises DefaultTierMissing."""
    if not settings.DEFAULT_TIER:
        return None
    if tier := Tier.objects.filter(name=settings.DEFAULT_TIER).first():
        return tier
    raise DefaultTierMissing


def _open_project(digest: bytes, address: str) -> Caller:
    new_projects = of_address(
        address, per_minute=settings.NEW_PROJECTS_PER_MINUTE, what="new projects per minute"
    )
    if new_projects:
        request_limits.take_in_thread(new_projects)
    with transaction.atomic():
        # Two first requests may race: the lock makes the second see the first one's rows.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)]
            )
        if row := _look_up(digest):
            return row[0]
        tier = _default_tier()
        project = Project.objects.create(name=f"Key {digest.hex()[:8]}", tier=tier)
        key = ApiKey.objects.create(project=project, digest=digest, name="brought by its client")
    return Caller(project_id=project.id, api_key_id=key.id, limits=limits_of(tier))
