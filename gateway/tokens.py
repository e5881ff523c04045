"""Withering tokens: their text, and how they are issued.

Source: docs/gateway.md, section "Tokens".
"""

import re
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts import api_keys
from accounts.models import Allowance, Project
from core import errors
from core.ids import uuid7
from gateway import upstream_config
from gateway.masking import masked_token
from gateway.models import Token, Upstream
from gateway.token_limits import COUNTED_LIMITS

PREFIX = "sk-"
_SECRET_BYTES = 16  # 22 characters of base64url
_FORM = re.compile(r"sk-[A-Za-z0-9_-]{22}")

digest = api_keys.digest


def generate() -> str:
    """Return a new token: `sk-` and 22 characters, 128 random bits."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def has_form(text: str) -> bool:
    """Return whether a text has the form of our tokens."""
    return _FORM.fullmatch(text) is not None


def hidden(text: str) -> str:
    """Return a text, for a log, without what has the form of a token."""
    return _FORM.sub(f"{PREFIX}***", text) if PREFIX in text else text


def check_upstream(name: str) -> None:
    """Raise InvalidInput unless an upstream has this name; it may be switched off."""
    stored = Upstream.objects.values_list("name", flat=True)
    known = {*upstream_config.configured().upstreams, *stored}
    if name not in known:
        message = f"There is no upstream {name!r}; there are {', '.join(sorted(known))}"
        loc = ["body", "upstream"]
        raise errors.InvalidInput([errors.issue("unknown_upstream", loc, message, name)])


@transaction.atomic
def issue(
    project: Project,
    *,
    expires_at: datetime | None,
    id: UUID | None = None,
    max_requests: int | None = None,
    requests_per_minute: int | None = None,
    budget_usd=None,
    **columns: Any,
) -> tuple[Token, str]:
    """Make a token of the project. Returns its row and its text, which is not stored.

    Raises InvalidInput for an unknown upstream, and IntegrityError if there is a token of
    this `id`, by default a new one.
    """
    if columns.get("upstream"):
        check_upstream(columns["upstream"])
    text = generate()
    allowance = Allowance.objects.create(
        max_requests=max_requests,
        requests_per_minute=requests_per_minute,
        budget_usd=budget_usd,
    )
    row = Token.objects.create(
        id=id or uuid7(),
        project=project,
        allowance=allowance,
        digest=digest(text),
        hint=masked_token(text),
        expires_at=expires_at,
        **columns,
    )
    return row, text


@transaction.atomic
def change(token: Token, *, is_active: bool | None = None, **columns: Any) -> None:
    """Change columns of the token, and limits of its allowance; its counters stay.

    `is_active` revokes the token, or admits it again. Raises InvalidInput for an unknown
    upstream; the one that the token has may be gone.
    """
    if columns.get("upstream", "") not in ("", token.upstream):
        check_upstream(columns["upstream"])
    limits = {name: columns.pop(name) for name in COUNTED_LIMITS if name in columns}
    if limits:
        Allowance.objects.filter(pk=token.allowance_id).update(**limits)
    row = Token.objects.filter(pk=token.pk)
    if columns:
        row.update(**columns)
    if is_active is False:
        row.revoke()
    elif is_active:
        row.update(revoked_at=None)


def named(id_or_text: str) -> Token | None:
    """Return the token with this id or of this text, if there is one."""
    try:
        names = {"pk": UUID(id_or_text)}
    except ValueError:
        names = {"digest": digest(id_or_text)} if has_form(id_or_text) else None
    return Token.objects.select_related("allowance").filter(**names).first() if names else None
