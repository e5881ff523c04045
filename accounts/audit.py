"""The audit log of changes of access and prices: who, when, from where, with what outcome.

    audit.record("token.create", audit.of_request(request), project_id=…, token_id=…)

Record a change in its own transaction, so that both happen or neither. Record a refusal
outside of a transaction, which the error would roll back. Never record a secret.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max
from django.http import HttpRequest

from accounts.models import AuditEvent, AuditOutcome
from core import client_address
from core.redaction import without_secrets
from core.scoping import Caller

MANAGEMENT_TOKEN = "management_token"
ANONYMOUS = "anonymous"
_MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Origin:
    """The actor of an event, and their request."""

    actor: str
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    request_id: str = ""
    client_ip: str | None = None
    method: str = ""
    path: str = ""
    user_agent: str = ""


def of_request(
    request: HttpRequest, *, actor: str | None = None, user_id: UUID | None = None
) -> Origin:
    """Return the origin of a request. The actor is by default its key or person."""
    api_key_id = None
    if actor is None:
        caller = getattr(request, "auth", None)
        api_key_id = caller.api_key_id if isinstance(caller, Caller) else None
        user = getattr(request, "user", None)
        user_id = user.pk if user is not None and user.is_authenticated else None
        actor = _actor(user_id, api_key_id)
    return Origin(
        actor=actor,
        user_id=user_id,
        api_key_id=api_key_id,
        request_id=getattr(request, "id", ""),
        client_ip=_address(request.META.get("REMOTE_ADDR", "")),
        method=request.method or "",
        path=without_secrets(request.path),
        user_agent=request.META.get("HTTP_USER_AGENT", ""),
    )


def of_command(name: str) -> Origin:
    """Return the origin of a management command."""
    return Origin(actor=f"command:{name}")


def record(
    action: str,
    origin: Origin,
    *,
    outcome: str = AuditOutcome.SUCCESS,
    reason: str = "",
    project_id: UUID | None = None,
    token_id: UUID | None = None,
    user_id: UUID | None = None,
    api_key_id: UUID | None = None,
    **details: Any,
) -> AuditEvent:
    """Store an event. `user_id` and `api_key_id` are its subjects, by default its actors.

    `details` are JSON values: names, numbers, old and new roles; never a secret.
    """
    return AuditEvent.objects.create(
        action=action,
        outcome=outcome,
        actor=origin.actor,
        user_id=user_id or origin.user_id,
        api_key_id=api_key_id or origin.api_key_id,
        project_id=project_id,
        token_id=token_id,
        request_id=origin.request_id,
        client_ip=origin.client_ip,
        method=origin.method[:10],
        path=_storable(origin.path),
        user_agent=_storable(origin.user_agent),
        reason=_storable(without_secrets(reason)),
        details=details,
    )


def last_changes(project_ids: Iterable[UUID]) -> dict[UUID, datetime]:
    """Return when each project was last changed itself, according to the log."""
    events = AuditEvent.objects.filter(
        project_id__in=project_ids, action__startswith="project.", outcome=AuditOutcome.SUCCESS
    )
    rows = events.order_by().values("project_id").annotate(last=Max("at"))
    return {row["project_id"]: row["last"] for row in rows}


def delete_before(time: datetime) -> int:
    """Delete the events before a time; return how many. For retention alone."""
    with transaction.atomic(), connection.cursor() as cursor:
        # The trigger requires this setting, which lasts for the transaction.
        cursor.execute("SELECT set_config('llmring.audit_retention', 'on', true)")
        deleted, _ = AuditEvent.objects.before(time).delete()
    return deleted


def _actor(user_id: UUID | None, api_key_id: UUID | None) -> str:
    if api_key_id:
        return f"key:{api_key_id}"
    return f"user:{user_id}" if user_id else ANONYMOUS


def _address(text: str) -> str | None:
    """Return a client's address as PostgreSQL stores it; None for that of a Unix socket."""
    address = client_address.parse(text.partition("%")[0])
    return address and str(address)


def _storable(text: str) -> str:
    return text.replace("\x00", "")[:_MAX_TEXT]
