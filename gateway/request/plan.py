"""A call that may be made: what is sent, to which upstream, and what is recorded of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from gateway.cache_policy import CacheKey
from gateway.protocols.protocol import Endpoint, ProtocolModule
from gateway.request.content import Content
from gateway.upstream_call import UpstreamRequest
from gateway.upstream_config import UpstreamConfig
from gateway.upstreams import UpstreamState

# Shorter keys are placeholders (`none`, `ollama`), which may be words of answers.
_MIN_SECRET = 16


@dataclass(slots=True)
class Plan:
    """A call that may be made."""

    protocol: ProtocolModule
    endpoint: Endpoint
    upstream: UpstreamConfig
    state: UpstreamState
    key: str = field(repr=False)  # the upstream's
    request: UpstreamRequest
    content: Content
    project_id: UUID
    model: str = ""
    requested_model: str = ""
    response_id: str = ""  # of the stored answer that is requested
    alias: str | None = None
    profile: str | None = None
    origin: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    price_terms: dict[str, str] = field(default_factory=dict)
    is_stream: bool = False
    asks_for_usage: bool = False  # added by us: the usage is hidden from the client
    reserved: Decimal = Decimal(0)
    cache_key: CacheKey | None = None  # None: its answer is never cached
    without_usage_option: bytes | None = None  # the body for an upstream that does not know it
    # Reduces the body of an answer to what the token may see; None: it may see all.
    edit: Callable[[bytes], bytes] | None = None

    @property
    def secret(self) -> str | None:
        """The upstream's key, which no client may see; None for a placeholder."""
        return self.key if len(self.key) >= _MIN_SECRET else None
