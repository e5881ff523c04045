"""Secrets that are mailed: each names its account, works once, and expires.

Only digests are stored. A token dies with the address that it was mailed to.
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
    """Used, expired, replaced, of another address, or never issued: one text for all."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("The link is invalid or has expired; ask for a new one")


def generate() -> str:
    """Return the text of a new token."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def issue(user: User, purpose: Purpose) -> str:
    """Return the text of a token for the person, which is not stored.

    The person is locked.
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
    """Return the locked person that the token names; it and its like are used up.

    In a transaction: of several requests with one token the first one gets the person, and
    if it fails the token is as before. Raises InvalidToken.
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
    """Return the row of a token that could be used now. Raises InvalidToken."""
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
