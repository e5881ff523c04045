"""Issuing, changing, rotating and revoking keys, with a record in the audit log.

Nobody grants a key more than they have: scopes within their own permissions and, if a key
makes the request, no longer life than its own.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import api_keys, audit, locks
from accounts.models import ApiKey, Project, RetiredKey
from accounts.permissions import key_permissions, widest_scopes
from core.errors import DomainError
from core.scoping import Caller

DEFAULT_OVERLAP = timedelta(hours=24)


class GrantRefused(DomainError):
    """The caller would give a key more than they have themselves."""

    status_code = 403
    code = "grant_refused"


class KeyNotActive(DomainError):
    status_code = 409
    code = "key_not_active"

    def __init__(self, state: str) -> None:
        super().__init__(f"The key is {state}")


class RotationRepeated(DomainError):
    """The key has been rotated by this request before, or by a concurrent one."""

    status_code = 409
    code = "rotation_repeated"


@dataclass(frozen=True, slots=True)
class Grant:
    """The requested properties of a key; without scopes, the widest that are permitted."""

    name: str = ""
    scopes: Sequence[str] | None = None
    expires_at: datetime | None = None


def create_key(
    caller: Caller, grant: Grant, origin: audit.Origin, *, id: UUID | None = None
) -> tuple[ApiKey, str]:
    """Return a new key of the caller's project and its text. Raises GrantRefused, SessionEnded.

    Raises IntegrityError if `id` exists; by default it is generated.
    """
    scopes = grant.scopes or widest_scopes(caller.permissions)
    check_grant(caller, scopes, grant.expires_at)
    with transaction.atomic():
        if caller.user_id is not None and locks.person(caller.user_id) is None:
            raise locks.SessionEnded
        return issue_key(
            Project.objects.get(id=caller.project_id),
            origin,
            id=id,
            name=grant.name,
            expires_at=grant.expires_at,
            scopes=list(scopes),
            created_by_id=caller.user_id,
        )


def issue_key(project: Project, origin: audit.Origin, **columns) -> tuple[ApiKey, str]:
    """Return a new key of the project and its text, and record it. Raises IntegrityError."""
    with transaction.atomic():
        row, text = ApiKey.issue(project, **columns)
        _record("key.create", origin, row, scopes=row.scopes, name=row.name)
    return row, text


def check_grant(caller: Caller, scopes: Sequence[str], expires_at: datetime | None) -> None:
    """Raise GrantRefused if a key would have more than the caller."""
    if caller.permissions is not None and not (key_permissions(list(scopes)) <= caller.permissions):
        raise GrantRefused("A key cannot have more scopes than whoever makes it")
    if caller.api_key_id is None:
        return
    limit = ApiKey.objects.values_list("expires_at", flat=True).get(id=caller.api_key_id)
    if limit is not None and (expires_at is None or expires_at > limit):
        raise GrantRefused("A key cannot live longer than the key that makes it")


def rotate_key(
    caller: Caller,
    key: ApiKey,
    origin: audit.Origin,
    *,
    overlap: timedelta = DEFAULT_OVERLAP,
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> tuple[ApiKey, str]:
    """Give the key a new value; the old one works until the overlap ends.

    A key has at most two values: an older one ends. The old value expires no later than it
    would have; the new one inherits its expiry unless `expires_at` is given.
    Raises KeyNotActive, GrantRefused, RotationRepeated.
    """
    rotation = _rotation_digest(caller, idempotency_key)
    seen = bytes(key.digest)
    with transaction.atomic():
        row = ApiKey.objects.select_for_update().get(id=key.id)
        if rotation is not None and row.rotation and bytes(row.rotation) == rotation:
            raise RotationRepeated("The key was rotated by the first of these requests")
        if bytes(row.digest) != seen:
            raise RotationRepeated("The key was rotated meanwhile")
        if row.state != "active":
            raise KeyNotActive(row.state)
        new_end = expires_at or row.expires_at
        check_grant(caller, row.scopes, new_end)
        text = _exchange(row, overlap=overlap, expires_at=new_end)
        row.rotation = rotation
        row.save()
        _record("key.rotate", origin, row, overlap_seconds=int(overlap.total_seconds()))
    return row, text


def change_key(caller: Caller, key: ApiKey, changes: dict, origin: audit.Origin) -> None:
    """Change name, scopes or expiry of a key. Raises GrantRefused, KeyNotActive."""
    with transaction.atomic():
        row = ApiKey.objects.select_for_update().get(id=key.id)
        if row.state in ("revoked", "expired") and set(changes) - {"name"}:
            raise KeyNotActive(row.state)
        # The old values are checked too: a caller may not take over a more powerful key by
        # narrowing it.
        check_grant(caller, row.scopes, row.expires_at)
        check_grant(
            caller, changes.get("scopes", row.scopes), changes.get("expires_at", row.expires_at)
        )
        new = {name: value for name, value in changes.items() if value != getattr(row, name)}
        old = {name: getattr(row, name) for name in new}
        for name, value in new.items():
            setattr(row, name, value)
        row.save(update_fields=list(new))
        record_change(row, origin, old=old, new=new)


def revoke_keys(rows: QuerySet[ApiKey], origin: audit.Origin, *, reason: str) -> int:
    """Revoke the keys permanently, with both of their values; return how many."""
    with transaction.atomic():
        keys = list(rows.filter(revoked_at__isnull=True).select_for_update().order_by("id"))
        ApiKey.objects.filter(id__in=[key.id for key in keys]).revoke()
        for key in keys:
            _record("key.revoke", origin, key, reason=reason)
    return len(keys)


def _exchange(row: ApiKey, *, overlap: timedelta, expires_at: datetime | None) -> str:
    """Give the row a new value, in memory, and return its text."""
    text = api_keys.generate()
    ends = [timezone.now() + overlap, row.expires_at]
    if overlap:
        row.previous_digest = row.digest
        row.previous_expires_at = min(filter(None, ends))
    else:
        row.previous_digest = row.previous_expires_at = None
    row.digest = api_keys.digest(text)
    row.hint = api_keys.hint(text)
    row.expires_at = expires_at
    return text


def _rotation_digest(caller: Caller, idempotency_key: str | None) -> bytes | None:
    if idempotency_key is None:
        return None
    return hashlib.sha256(f"{caller.project_id}\n{idempotency_key}".encode()).digest()


def record_change(key: ApiKey, origin: audit.Origin, *, old: dict, new: dict) -> None:
    """Record the changes of a key, if there are any."""
    if new:
        _record("key.change", origin, key, old=_plain(old), new=_plain(new))


def _record(action: str, origin: audit.Origin, key: ApiKey, **details) -> None:
    audit.record(
        action, origin, project_id=key.project_id, api_key_id=key.id, hint=key.hint, **details
    )


def _plain(values: dict) -> dict:
    """Return the values with times as text, for JSON."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def retire_text(text: str) -> None:
    """Refuse a text as a key from now on, in `bridge` mode too."""
    RetiredKey.objects.create(digest=api_keys.digest(text))


def key_of(project_id: UUID, id: UUID) -> ApiKey | None:
    """Return a key of the project, None if it has no such key."""
    return ApiKey.objects.filter(project_id=project_id, id=id).first()
