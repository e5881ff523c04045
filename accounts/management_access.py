"""Access to the management of all projects: by the management token, or for superusers."""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts import api_keys, audit
from accounts.models import AuditEvent, AuditOutcome, User
from core.errors import DomainError

_MAX_GUESSES = 10  # of the management token, from one address in a minute
_GUESS = "manage.access"  # the audit action of a refused token


class NoManagementAccess(DomainError):
    """The request has neither the management token nor a superuser's session."""

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
    """A caller who may manage all projects; without a user by the management token."""

    user_id: UUID | None = None


def authenticate_manager(bearer: str, origin: audit.Origin) -> Manager:
    """Return the manager that presents a bearer token.

    Wrong tokens are recorded, and count against the address (for IPv6, the /64 network).
    Raises NoManagementAccess, TooManyGuesses.
    """
    if not settings.MANAGEMENT_TOKEN:
        raise NoManagementAccess(
            "The management token is off: set MANAGEMENT_TOKEN where the server runs"
        )
    since = timezone.now() - timedelta(minutes=1)
    guesses = AuditEvent.objects.since(since).filter(action=_GUESS)
    if guesses.from_network_of(origin.client_ip)[:_MAX_GUESSES].count() >= _MAX_GUESSES:
        raise TooManyGuesses
    # Comparing digests reveals nothing by its time, not even the length.
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
