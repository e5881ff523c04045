"""Authenticate and authorize requests: the one place where access is decided.

    caller = admission.authenticate(headers)
    bucket = admission.bucket_of(caller, address)     counted by accounts/limits/request_limits.py
    caller = admission.admit(caller, Action.WRITE, address)

DRF's classes (accounts/authentication.py), sessions, the edge (accounts/edge_admission.py) and
`/mcp` adapt these functions.
What roles and scopes permit is in accounts/permissions.py; who manages all projects, in
accounts/management_access.py.
Source: docs/http-contract.md, section "Keys".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import api_keys, key_cache, key_uses
from accounts.limits import request_limits
from accounts.limits.request_buckets import Bucket, of_address
from accounts.models import ApiKey, Project, RetiredKey, Scope, Tier, User
from accounts.permissions import (
    WRITES,
    Action,
    NotPermitted,
    key_permissions,
    role_permissions,
)
from core.errors import DomainError
from core.scoping import Caller, Limits

NO_PROJECT = UUID(int=0)  # owns no row
_CHALLENGE = {"WWW-Authenticate": "ApiKey"}


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

    def __init__(self, message: str = "Invalid API key") -> None:
        super().__init__(message)


class UnusableKey(DomainError):
    """The text cannot be a key: it is too long, contains whitespace, or is several keys."""

    code = "unusable_key"


class ProjectArchived(DomainError):
    """A person's request in an archived project, whose keys raise InvalidKey."""

    status_code = 403
    code = "project_archived"

    def __init__(self) -> None:
        super().__init__("The project is archived")


class DefaultTierMissing(DomainError):
    """The default tier was deleted after the start, which checks that it exists."""

    status_code = 503
    code = "default_tier_missing"

    def __init__(self) -> None:
        super().__init__("New keys cannot be used: the tier of LLMRING_DEFAULT_TIER is missing")


@dataclass(frozen=True, slots=True)
class UnseenKey(Caller):
    """The caller of an unknown key, which creates a project at its first write."""

    digest: bytes = b""


def authenticate(headers: Mapping[str, str]) -> Caller | None:
    """Return the caller that the request's key identifies; None without a key.

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

    An id is never a key: anybody who sees it in a reply could use it.
    """
    if api_keys.is_id(key):
        raise InvalidKey("Invalid API key: a UUID is never a key")
    digest = api_keys.digest(key)
    if caller := key_cache.get(digest):
        return caller
    generation = key_cache.listener.generation
    row = _look_up(digest)
    if row is None:
        if settings.API_KEY_VALIDATION_MODE == "strict":
            raise InvalidKey
        return UnseenKey(project_id=NO_PROJECT, digest=digest)
    key_cache.callers.put(digest, row, generation=generation)
    return row[0]


def authenticate_user(user: User, project_id: UUID) -> Caller | None:
    """Return a person as a caller in a project; None if they have no access to it.

    Superusers may do everything in every project, other staff may read. Raises ProjectArchived.
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


def _permissions_of_key(scopes: list[str]) -> frozenset[Action] | None:
    # None is checked fastest. Actions of people alone are not open to keys anyway.
    return None if Scope.ALL in scopes else key_permissions(scopes)


def cached_caller(headers: Mapping[str, str]) -> Caller | None:
    """Return the caller if the key is cached; None if it has to be looked up."""
    key, _ = presented_key(headers)
    return key_cache.get(api_keys.digest(key)) if key else None


def bucket_of(caller: Caller | None, address: str) -> Bucket | None:
    """Return the bucket of a request: of the caller's project, else of the address.

    None if there is no limit.
    """
    if caller is None or caller.project_id == NO_PROJECT:
        return of_address(
            address, per_minute=settings.PUBLIC_REQUESTS_PER_MINUTE, what="requests per minute"
        )
    if caller.limits is None or caller.limits.requests_per_minute is None:
        return None
    return Bucket(caller.project_id, caller.limits.requests_per_minute)


def admit(caller: Caller | None, action: Action, address: str = "") -> Caller:
    """Return the caller, if the action is permitted.

    The first write with an unknown key creates its project, up to
    settings.NEW_PROJECTS_PER_MINUTE for an address.
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
    """Return the key of a request and the name of its header; ("", "") without one.

    `X-API-Key` wins over `X-Project-Key`, and both over `Authorization: Bearer`; an
    empty one is absent.
    """
    for name in ("X-API-Key", "X-Project-Key"):
        if key := api_keys.decode(headers.get(name) or ""):
            return key, name
    scheme, _, token = (headers.get("Authorization") or "").strip(" ").partition(" ")
    if scheme.lower() == "bearer" and (key := api_keys.decode(token)):
        return key, "Authorization"
    return "", ""


def _look_up(digest: bytes) -> tuple[Caller, datetime | None] | None:
    """Return the key's caller and expiry; None for an unknown key. Raises InvalidKey."""
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
    """Return the tier of projects that unknown keys create. Raises DefaultTierMissing."""
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
