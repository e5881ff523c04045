"""The holders of tokens: what each may do, cached until anything about it changes.

Tokens, projects and upstream keys notify the channel of the API keys
(accounts/key_cache.py), so a revocation reaches every worker within a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from accounts.admission import limits_of
from accounts.key_cache import KeyCache, listener
from aliases.models import AliasBinding
from core import bridge
from core.scoping import Caller
from gateway import errors, tokens
from gateway.models import Token, UpstreamKey
from gateway.upstream_keys import OwnKey


@dataclass(frozen=True, slots=True)
class Holder:
    """What a token may do. Lists are None where everything is allowed."""

    caller: Caller
    token_id: UUID
    allowance_id: UUID
    has_budget: bool
    expires_at: datetime | None
    revoked_at: datetime | None
    is_archived: bool
    upstream: str
    allowed_models: tuple[str, ...] | None
    allowed_endpoints: tuple[str, ...] | None
    allowed_origins: tuple[str, ...] | None
    own_keys: Mapping[str, OwnKey]
    aliases: Mapping[tuple[str, str], str]  # models by profile and alias

    @property
    def is_restricted(self) -> bool:
        """Whether what cannot be checked must not pass."""
        return self.has_budget or self.allowed_models is not None

    def check(self, now: datetime) -> None:
        """Raise TokenInactive, TokenExpired or ProjectInactive."""
        if self.revoked_at:
            raise errors.TokenInactive("Token is inactive")
        if self.expires_at and self.expires_at <= now:
            raise errors.TokenExpired("Token has expired")
        if self.is_archived:
            raise errors.ProjectInactive("Project is inactive")


_FOREIGN = "the gateway takes tokens of its own, and no API keys"
_cache: KeyCache[Holder] = KeyCache()


async def holder_of(text: str) -> Holder:
    """Return the holder of a token that is admitted now. Raises InvalidToken, ProjectInactive.

    A dictionary look-up, but for the first call after any change.
    """
    if not tokens.has_form(text):
        reason = "it must be sent once" if "," in text else _FOREIGN
        raise errors.InvalidToken(f"Invalid token: {reason}")
    digest = tokens.digest(text)
    holder = _cache.get(digest)
    if holder is None:
        generation = listener.generation
        holder = await bridge.in_thread(_look_up, digest)
        _cache.put(digest, holder, generation=generation)
    holder.check(timezone.now())
    return holder


def _look_up(digest: bytes) -> Holder:
    row = Token.objects.select_related("project__tier", "allowance").filter(digest=digest).first()
    if row is None:
        raise errors.TokenNotFound("Token not found")
    keys = UpstreamKey.objects.filter(project=row.project_id)
    return Holder(
        caller=Caller(
            project_id=row.project_id, api_key_id=row.id, limits=limits_of(row.project.tier)
        ),
        token_id=row.id,
        allowance_id=row.allowance_id,
        has_budget=row.allowance.budget_usd is not None,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        is_archived=row.project.archived_at is not None,
        upstream=row.upstream,
        allowed_models=_tuple(row.allowed_models),
        allowed_endpoints=_tuple(row.allowed_endpoints),
        allowed_origins=_tuple(row.allowed_origins),
        own_keys={key.upstream: OwnKey.of(key) for key in keys},
        aliases=AliasBinding.objects.models_of(row.project_id),
    )


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)
