"""What a protocol says of itself; the rest of the gateway knows none by name.

A module of this package has the routes of its protocol, where credential and model stand,
how an error looks, and where an answer states its usage.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple, Protocol


class Billing(StrEnum):
    """How a call is billed."""

    FREE = "free"
    STATED = "stated"  # by the usage that its answer states
    LATER = "later"  # what it starts is billed, and no answer says how much


class Body(StrEnum):
    """What a request carries."""

    NONE = "none"
    JSON = "json"
    FORM = "form"  # multipart: files, relayed as they arrive


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of a protocol. `name` is one of a closed set, for metrics.

    `is_stateful`: it reads or changes objects stored upstream. `has_answer`: tokens come
    back. `lists_models`: its reply is filtered by what the token may use.
    """

    name: str
    methods: tuple[str, ...]
    billing: Billing = Billing.FREE
    body: Body = Body.NONE
    is_stateful: bool = False
    has_model: bool = False
    has_answer: bool = False
    # Members that limit the tokens of the answer; any other is one that servers may ignore.
    answer_limits: tuple[str, ...] = ()
    # The member that limits how often the upstream runs tools of its own.
    tool_limit: str | None = None
    lists_models: bool = False
    # Pictures or sound go in or come out, whose tokens cannot be told from them.
    is_media: bool = False
    # Its streams state their usage when they are asked for it.
    takes_usage_option: bool = False
    # Its answers may show the final one of a call that the upstream works on in the background.
    shows_result: bool = False
    # Sets of members: a request that has other ones than any of these may start work.
    free_requests: Collection[frozenset[str]] | None = None
    # Members by which the answer is left to a request that comes later.
    deferring: tuple[str, ...] = ()

    def asked(self, body: Mapping[str, Any]) -> "Endpoint":
        """Return the endpoint as a request with this body is billed."""
        asks_for_more = self.free_requests is not None and body.keys() not in self.free_requests
        if asks_for_more or any(body.get(name) for name in self.deferring):
            return replace(self, billing=Billing.LATER)
        return self


class Matched(NamedTuple):
    """An endpoint, and what the path of a request names.

    `path` is below the upstream's base URL, or below the `deployment`, a model in it.
    `model_id` is the model that is asked about, or deleted; `response_id` the stored answer.
    `openai_path`: what a path of Azure's is below the base URL of any other upstream; None
    where only Azure has it.
    """

    endpoint: Endpoint
    path: str
    deployment: str | None = None
    model_id: str = ""
    response_id: str = ""
    is_azure: bool = False
    openai_path: str | None = None

    @property
    def needs_azure(self) -> bool:
        return self.is_azure and self.openai_path is None

    def at(self, *, is_azure: bool) -> "Matched":
        """Return it with the path that an upstream of Azure's, or any other, has for it."""
        if is_azure or self.openai_path is None:
            return self
        return self._replace(path=self.openai_path, is_azure=False, openai_path=None)

    def path_with(self, model: str) -> str:
        """Return the path below the base URL, with this model in place of the deployment."""
        return self.path if self.deployment is None else f"/deployments/{model}{self.path}"


@dataclass(slots=True)
class Reading:
    """What an answer says of itself.

    `usage` is its own object, `units` what it counts beside tokens. `error` is what went
    wrong though the status may say 200; `has_failed`: the answer as a whole has, by its own
    account. `is_complete` is false for a stream that ended before its end.
    """

    usage: dict[str, Any] | None = None
    units: dict[str, int] = field(default_factory=dict)
    model: str | None = None
    service_tier: str | None = None
    error: str | None = None
    has_failed: bool = False
    is_complete: bool = True
    is_queued: bool = False
    is_deleted: bool = False
    response_id: str | None = None
    size: int = 0  # bytes of what it was read from, if many
    # The length of the sound that went in, where it is stated though not as usage.
    audio_seconds: float | None = None
    # Estimates the tokens of the text that was delivered.
    estimate_output: Callable[[], int] = int

    @property
    def has_counts(self) -> bool:
        """Whether the usage counts anything at all."""
        return _counts_anything(self.usage)


def _counts_anything(usage: Any) -> bool:
    if isinstance(usage, dict):
        return any(map(_counts_anything, usage.values()))
    return isinstance(usage, int | float) and usage is not True and usage > 0


class StreamReader(Protocol):
    """Reads a stream of events for its usage."""

    has_data: bool

    def see(self, events: bytes, *, is_part: bool = False) -> None:
        """Read whole events, or a part of a very long one."""

    def reading(self) -> Reading: ...


class ProtocolModule(Protocol):
    """What each module of this package offers."""

    StreamReader: type[StreamReader]

    def match(self, path: str) -> Sequence[Matched]:
        """Return the endpoints of a path, whatever their method."""

    def gives_direct_access(self, path: str) -> bool:
        """Return whether a path hands out access past this gateway."""

    def token_of(self, headers: Mapping[str, str]) -> str:
        """Return the token that a request presents; "" without one."""

    def price_terms(self, body: Mapping[str, Any]) -> dict[str, str]:
        """Return the terms of a request that change its price, and that no answer states."""

    def read_answer(self, answer: Any) -> Reading:
        """Return what the JSON of a plain answer says of itself."""

    def read_text(self, text: bytes) -> Reading:
        """Return what a plain answer that is no JSON says of itself."""

    def is_usage_event(self, event: bytes) -> bool:
        """Return whether an event says the usage and nothing else."""

    def is_answer_event(self, event: bytes) -> bool:
        """Return whether an event is a part of an answer."""

    def is_error_event(self, event: bytes) -> bool:
        """Return whether an event may say that something went wrong."""

    def blames_request(self, code: str) -> bool:
        """Return whether an error of this code says nothing about the upstream's health."""

    def error_body(self, error: Any) -> dict[str, Any]:
        """Return one of our errors in the protocol's form."""

    def error_event(self, error: Any, endpoint: Endpoint, encode: Callable[[Any], bytes]) -> bytes:
        """Return one of our errors within a stream of an endpoint that has begun."""
