"""Begin and end a person's sessions."""

from django.contrib.auth import get_user, login, logout
from django.contrib.auth import update_session_auth_hash as renew_session
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse

from accounts import audit, locks
from accounts.models import BrowserSession, User
from accounts.people import address_proofs, known_browsers
from accounts.sessions import end_sessions

_BACKEND = "accounts.passwords.PasswordBackend"
_PRUNED = 100  # expired sessions that one login deletes at most


def start_session(
    request: HttpRequest, response: HttpResponse | None, user: User, *, method: str
) -> None:
    """Log the person in with a new session, and record it.

    `response`, if given, gets the cookie of known browsers. Raises SessionEnded for a person who
    was deleted or got another password meanwhile.
    """
    with transaction.atomic():
        locks.same_person(user)
        _prune()
        request.session.flush()
        login(request, user, backend=_BACKEND)
        audit.record(
            f"login.{method}",
            audit.of_request(request, actor=f"user:{user.id}"),
            user_id=user.id,
        )
    if response is not None:
        known_browsers.remember(request, response, user)


def _prune() -> None:
    # Skip rows in use: they may be those of other people, who are not locked here.
    expired = BrowserSession.objects.filter(expire_date__lt=Now())
    ids = expired.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_PRUNED]
    BrowserSession.objects.filter(pk__in=list(ids)).delete()


def session_user(request: HttpRequest) -> User | None:
    """Return the person who is logged in, even if the view needs no login; else None."""
    user = get_user(request)
    return user if user.is_authenticated else None


def end_session(request: HttpRequest) -> None:
    """End the request's session, if there is one."""
    if request.user is not None and request.user.is_authenticated:
        audit.record("logout", audit.of_request(request))
    logout(request)


def log_out_everywhere(request: HttpRequest) -> None:
    """End all sessions of the person, the request's included, and open reset links."""
    user = request.user
    audit.record("logout.everywhere", audit.of_request(request))
    address_proofs.forget_tokens(user)
    end_session(request)
    end_sessions(user)


def end_other_sessions(request: HttpRequest, user: User) -> None:
    """End the person's sessions except the request's, which gets a new key."""
    renew_session(request, user)
    end_sessions(user, but=request.session.session_key)
