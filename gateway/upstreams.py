"""Which upstream a call goes to, and what this worker knows of each.

Those of the YAML file and the environment, and those that were made in the admin; where
both have a name, the file's holds.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from accounts.key_cache import listener
from core import bridge
from core.secrets import SecretUnreadable
from gateway import errors
from gateway.breaker import Breaker
from gateway.holders import Holder
from gateway.models import Upstream
from gateway.upstream_config import UpstreamConfig, configured

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class UpstreamState:
    """What this worker has learned of an upstream."""

    breaker: Breaker = field(default_factory=Breaker)
    refuses_usage_option: bool = False
    in_flight: int = 0
    shown_breaker: str = ""  # by the metrics
    answered_at: float = float("-inf")  # by the monotonic clock

    def answered(self) -> None:
        self.answered_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The upstreams that there are now."""

    default: str
    by_name: Mapping[str, UpstreamConfig]

    @property
    def have_whitelists(self) -> bool:
        """Whether the members of bodies decide what may pass."""
        return any(each.param_whitelist for each in self.by_name.values())

    def named(self, name: str) -> UpstreamConfig | None:
        """Return the upstream of this name, or the first one of this provider."""
        if found := self.by_name.get(name):
            return found
        return next((each for each in self.by_name.values() if each.provider == name), None)

    def azure(self) -> UpstreamConfig:
        """Return the upstream for Azure's paths. Raises EndpointNotFound."""
        for each in self.by_name.values():
            if each.auth == "api-key":
                return each
        raise errors.EndpointNotFound("No upstream with Azure's API is configured")


_states: dict[str, UpstreamState] = {}
_upstreams: Upstreams | None = None
_generation = -1


def state_of(name: str) -> UpstreamState:
    """Return what this worker knows of an upstream."""
    return _states.setdefault(name, UpstreamState())


def status() -> dict[str, dict]:
    """Return the state of each upstream that this worker has called, for people to see."""
    return {
        name: {
            "breaker": state.breaker.state.value,
            "seconds_left": max(round(state.breaker.seconds_left), 0),
            "in_flight": state.in_flight,
        }
        for name, state in _states.items()
    }


def forget() -> None:
    """Return to the state of a process that has just started."""
    global _upstreams
    _upstreams = None
    _states.clear()


async def current() -> Upstreams:
    """Return the upstreams. A look-up, but for the first call after a change."""
    global _upstreams, _generation
    if _upstreams is not None and listener.is_healthy and listener.generation == _generation:
        return _upstreams
    generation = listener.generation
    loaded = await bridge.in_thread(load)
    _upstreams, _generation = loaded, generation
    return loaded


def load() -> Upstreams:
    """Return the upstreams as they are stored. One query."""
    known = configured()
    made_here = {}
    for row in Upstream.objects.filter(is_enabled=True):
        if config := _config_of(row):
            made_here[row.name] = config
    return Upstreams(known.default, {**made_here, **known.upstreams})


def _config_of(row: Upstream) -> UpstreamConfig | None:
    try:
        key = row.api_key.open() if row.api_key else None
        return UpstreamConfig(
            name=row.name, base_url=row.base_url, api_key=key, **(row.options or {})
        )
    except (ValidationError, SecretUnreadable, TypeError) as error:
        # One that is broken must not take the others away.
        logger.error("upstream %s is not usable: %s", row.name, type(error).__name__)
        return None


def choose(
    upstreams: Upstreams, holder: Holder, model: str, *, is_azure: bool
) -> tuple[UpstreamConfig, str]:
    """Return the upstream of a call, and the model's name there.

    A name may begin with that of its upstream: `groq:llama-3.3-70b`. Raises
    EndpointNotFound, ModelNotAllowed.
    """
    prefix, separator, rest = model.partition(":")
    named = upstreams.named(prefix) if separator and rest else None
    upstream = _pinned(upstreams, holder) or named
    if upstream is None:
        upstream = upstreams.azure() if is_azure else upstreams.by_name[upstreams.default]
    elif is_azure and upstream.auth != "api-key":
        raise errors.ModelNotAllowed(f"The upstream {upstream.name!r} has no paths of Azure's")
    if named is None:
        return upstream, model
    if named.name != upstream.name:
        raise errors.ModelNotAllowed(f"The token may not call the upstream {prefix!r}")
    return upstream, rest


def _pinned(upstreams: Upstreams, holder: Holder) -> UpstreamConfig | None:
    """Return the only upstream that a token may call; None if there are others."""
    if not holder.upstream:
        return None
    if pinned := upstreams.by_name.get(holder.upstream):
        return pinned
    raise errors.EndpointNotFound("The token's upstream is not configured")


def credential(upstream: UpstreamConfig, holder: Holder) -> tuple[str, bool]:
    """Return the key for a call, and whether other projects have it too.

    Raises UpstreamAuthError.
    """
    if own := holder.own_keys.get(upstream.name):
        try:
            key = str(own.sealed.open())
        except SecretUnreadable as error:
            raise errors.UpstreamAuthError("The project's upstream key cannot be read") from error
        return key, own.is_shared or _is_of_server(key)
    if upstream.api_key:
        return upstream.api_key, True
    raise errors.UpstreamAuthError(
        f"There is no key for the upstream {upstream.name!r}: set one for the project or the server"
    )


def _is_of_server(key: str) -> bool:
    """Return whether the server calls any of its current upstreams with this key."""
    return _upstreams is not None and any(
        each.api_key == key for each in _upstreams.by_name.values()
    )
