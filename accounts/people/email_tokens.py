"""Tokens in mailed links: each is for one account, works once, and expires.

Only digests are stored. A token is invalid once the account has another address.
"""

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import locks
from accounts.models import EmailToken, Purpose, User
from core.errors import DomainError

LIFETIMES = {Purpose.RESET: timedelta(hours=1), Purpose.VERIFY: timedelta(days=1)}


class InvalidToken(DomainError):
    """The token was used, replaced or never issued, has expired, or is of another address."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("The link is invalid or has expired; ask for a new one")


def generate() -> str:
    """Return the text of a new token."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def issue(user: User, purpose: Purpose) -> str:
    """Issue a token for the person, whom the caller has locked; return its text.

    Also deletes expired tokens.
    """
    token = generate()
    # Skip rows in use: they may be those of other people, who are not locked here.
    expired = EmailToken.objects.filter(expires_at__lt=Now()).select_for_update(skip_locked=True)
    EmailToken.objects.filter(pk__in=list(expired.values_list("pk", flat=True))).delete()
    EmailToken.objects.create(
        user=user,
        purpose=purpose,
        digest=digest(token),
        email_key=user.email_key,
        expires_at=Now() + LIFETIMES[purpose],
    )
    return token


def use(token: str, purpose: Purpose) -> User:
    """Delete the person's tokens of this purpose; return the person, locked with their projects.

    Requires a transaction: of concurrent requests with one token the first one succeeds, and if
    it fails later the token stays valid. Raises InvalidToken.
    """
    assert transaction.get_connection().in_atomic_block
    row = peek(token, purpose)
    user = locks.person_with_projects(row.user_id)
    own = EmailToken.objects.filter(user_id=row.user_id, purpose=purpose)
    if (
        user is None
        or not user.is_active
        or not own.filter(pk=row.pk, email_key=user.email_key).exists()
    ):
        raise InvalidToken
    own.delete()
    return user


def peek(token: str, purpose: Purpose) -> EmailToken:
    """Return the row of a valid token. Raises InvalidToken."""
    rows = EmailToken.objects.filter(
        digest=digest(token),
        purpose=purpose,
        expires_at__gt=Now(),
        user__email_key=F("email_key"),
    )
    row = rows.select_related("user").first()
    if row is None:
        raise InvalidToken
    return row
