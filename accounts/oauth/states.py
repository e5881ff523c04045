"""The state of a login with a provider, from its start until the browser returns.

Each has its own signed cookie, for ten minutes: starting a login stores nothing in the database,
and tabs do not interfere. A state is valid for the browser, provider and session it began in,
and once: its digest is stored when the browser returns.
"""

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import cookies
from accounts.models import SpentState
from core.errors import DomainError

LIFETIME_SECONDS = 600
_SALT = "accounts.oauth.state"
_FORMER = "oauth_former_session"  # member of a session that a provider's login began


class StateRefused(DomainError):
    """The state is not of a login of this browser, has expired, or was used before."""

    code = "state_refused"

    def __init__(self) -> None:
        super().__init__("This login has expired, or was not begun in this browser")


@dataclass(frozen=True, slots=True)
class State:
    """The state of a login. `session` is a digest of the session's key; "" without a session."""

    value: str
    provider: str
    next: str
    session: str
    is_link: bool = False

    @property
    def verifier(self) -> str:
        """The PKCE verifier, derived from the state and this server's secret."""
        digest = salted_hmac("accounts.oauth.verifier", self.value, algorithm="sha256").digest()
        return _base64(digest)

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier. Source: RFC 7636, section 4.2."""
        return _base64(hashlib.sha256(self.verifier.encode()).digest())


def begin(request: HttpRequest, provider: str, *, next: str, is_link: bool) -> State:
    """Return the state of a new login."""
    return State(secrets.token_urlsafe(24), provider, next, session_digest(request), is_link)


def keep(response: HttpResponse, state: State) -> None:
    """Set the cookie of the state."""
    name = _cookie(state.value)
    cookies.keep(response, name, asdict(state), salt=_SALT, max_age=LIFETIME_SECONDS)


def take(request: HttpRequest, provider: str, values: list[str]) -> State:
    """Return the state that the provider sent back, and invalidate it. Raises StateRefused."""
    if len(values) != 1 or not values[0].isascii():
        raise StateRefused
    name = _cookie(values[0])
    members = cookies.read(request, name, salt=_SALT, max_age=LIFETIME_SECONDS)
    if members is None:
        raise StateRefused
    state = State(**members)
    is_same = constant_time_compare(state.value, values[0]) and state.provider == provider
    if not is_same or state.session not in _sessions(request):
        raise StateRefused
    _spend(state)
    return state


def forget(response: HttpResponse, values: list[str]) -> None:
    """Delete the cookie of a login that has returned."""
    for value in values[:1]:
        cookies.drop(response, _cookie(value))


def session_digest(request: HttpRequest) -> str:
    """Return the digest of the request's session that a state contains; "" without a session."""
    key = request.session.session_key or ""
    return hashlib.sha256(key.encode()).hexdigest()[:32] if key else ""


def note_former_session(request: HttpRequest, former: str) -> None:
    """Keep logins valid that other tabs began in the session that this login replaced."""
    request.session[_FORMER] = former


def _sessions(request: HttpRequest) -> set[str]:
    known = {session_digest(request)}
    if (former := request.session.get(_FORMER)) is not None:
        known.add(former)
    return known


def _spend(state: State) -> None:
    SpentState.objects.filter(expires_at__lt=Now()).delete()
    digest = hashlib.sha256(state.value.encode()).digest()
    # Longer than the cookie's life, which is measured by the process's clock.
    expires_at = Now() + timedelta(seconds=3 * LIFETIME_SECONDS)
    try:
        with transaction.atomic():
            SpentState.objects.create(digest=digest, expires_at=expires_at)
    except IntegrityError:
        raise StateRefused from None


def _cookie(value: str) -> str:
    return f"oauth_{hashlib.sha256(value.encode()).hexdigest()[:16]}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
