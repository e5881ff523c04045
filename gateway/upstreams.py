"""Which upstream a call goes to, and what this worker knows of each.

Those of the YAML file and the environment, and those that were made in the admin; where
both have a name, the file's holds.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from accounts.key_cache import listener
from core import bridge
from core.secrets import SecretUnreadable
from gateway import errors
from gateway.breaker import Breaker, BreakerState
from gateway.holders import Holder
from gateway.models import Upstream
from gateway.protocols.protocol import Matched
from gateway.upstream_config import UpstreamConfig, configured, faults, stored

logger = logging.getLogger(__name__)
_MAX_ADDRESSES = 1_000  # of an upstream that are known to refuse the option for the usage


@dataclass(slots=True)
class CallsInFlight:
    """How many calls of an upstream are under way, whatever its configuration was."""

    count: int = 0


@dataclass(slots=True)
class UpstreamState:
    """What this worker has learned of an upstream as it is configured."""

    upstream: UpstreamConfig
    calls: CallsInFlight = field(default_factory=CallsInFlight)
    breaker: Breaker = field(default_factory=Breaker)
    # Addresses with their queries, for versions of an API differ in what they know.
    without_usage_option: set[str] = field(default_factory=set)
    exported_breaker: BreakerState | None = None  # by the metrics

    def note_refused_usage_option(self, url: str) -> None:
        """Ask no more for the usage at this address."""
        if len(self.without_usage_option) >= _MAX_ADDRESSES:
            self.without_usage_option.clear()  # clients choose the queries
        self.without_usage_option.add(url)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The upstreams that there are now.

    `unusable` are names and providers of those that are switched off or broken: what names
    one of them must not reach another upstream, as the default would be.
    """

    default: str
    by_name: Mapping[str, UpstreamConfig]
    unusable: frozenset[str]

    @property
    def have_whitelists(self) -> bool:
        """Whether the members of bodies decide what may pass."""
        return any(each.param_whitelist for each in self.by_name.values())

    def named(self, name: str) -> UpstreamConfig | None:
        """Return the upstream of this name, or the first one of this provider.

        Raises UpstreamUnusable.
        """
        if upstream := self.by_name.get(name):
            return upstream
        if name in self.unusable:
            raise errors.UpstreamUnusable(f"The upstream {name!r} is switched off or broken")
        return next((each for each in self.by_name.values() if each.provider == name), None)

    def existing(self, name: str) -> UpstreamConfig:
        """Return the upstream that has an object. Raises UpstreamUnusable, EndpointNotFound."""
        if upstream := self.named(name):
            return upstream
        raise errors.EndpointNotFound(f"The upstream {name!r} is not configured")

    def for_path(self, matched: Matched) -> UpstreamConfig:
        """Return the upstream of a path, where nothing names one. Raises EndpointNotFound."""
        if matched.is_azure:
            for each in self.by_name.values():
                if each.is_azure:
                    return each
            if matched.needs_azure:
                raise errors.EndpointNotFound("No upstream with Azure's API is configured")
        return self.by_name[self.default]


_states: dict[str, UpstreamState] = {}
_upstreams: Upstreams | None = None
_generation = -1


def state_of(upstream: UpstreamConfig) -> UpstreamState:
    """Return what this worker knows of an upstream: nothing once it was changed."""
    state = _states.get(upstream.name)
    if state is None:
        state = _states[upstream.name] = UpstreamState(upstream)
    elif state.upstream is not upstream:  # it was read again
        if state.upstream != upstream:
            state = _states[upstream.name] = UpstreamState(upstream, state.calls)
        state.upstream = upstream
    return state


def status() -> dict[str, dict]:
    """Return the state of each upstream that this worker has called, for people to see."""
    return {
        name: {
            "breaker": state.breaker.state.value,
            "seconds_left": max(round(state.breaker.seconds_left), 0),
            "in_flight": state.calls.count,
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
    made_here, unusable = {}, []
    for row in Upstream.objects.exclude(name__in=known.upstreams):
        if config := _config_of(row):
            made_here[row.name] = config
        else:
            unusable.append(row)
    usable = {**made_here, **known.upstreams}
    providers = {_provider_of(row) for row in unusable}
    providers -= {each.priced_as for each in usable.values()}
    return Upstreams(known.default, usable, frozenset(providers | {row.name for row in unusable}))


def _config_of(row: Upstream) -> UpstreamConfig | None:
    """Return the configuration of a row; None if it is switched off, or broken."""
    if not row.is_enabled:
        return None
    try:
        key = row.api_key.open() if row.api_key else None
        return stored(row.name, base_url=row.base_url, options=row.options, api_key=key)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, loc))}: {fault}" for loc, fault in faults(error)]
        reason = "; ".join(problems)
    except SecretUnreadable as error:
        reason = str(error)
    # One that is broken must not take the others away.
    logger.error("upstream %s is not usable: %s", row.name, reason)
    return None


def _provider_of(row: Upstream) -> str:
    """Return the provider that a row's options state, if they can be read so far."""
    provider = row.options.get("provider") if isinstance(row.options, dict) else None
    return provider if isinstance(provider, str) else row.name


def choose(
    upstreams: Upstreams, holder: Holder, model: str, *, matched: Matched, is_alias: bool
) -> tuple[UpstreamConfig, str]:
    """Return the upstream of a call, and the model's name there.

    A name may begin with that of its upstream: `groq:llama-3.3-70b`. Any other prefix is
    part of the name (`ft:gpt-4o:…`, `llama3:8b`), but not of what an alias stands for, which
    begins with the provider. Raises EndpointNotFound, ModelNotAllowed,
    UpstreamUnusable.
    """
    prefix, separator, rest = model.partition(":")
    named = upstreams.named(prefix) if separator and rest else None
    if named is None and separator and (is_alias or prefix in holder.own_keys):
        # It was not meant for the default, which must not see it.
        raise errors.EndpointNotFound(f"The upstream {prefix!r} is not configured")
    upstream = _pinned(upstreams, holder) or named
    if upstream is None:
        upstream = upstreams.for_path(matched)
    elif matched.needs_azure and not upstream.is_azure:
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
    if holder.upstream in upstreams.unusable:
        raise errors.UpstreamUnusable("The token's upstream is switched off or broken")
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
