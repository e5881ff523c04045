"""The protocols that are relayed, by the paths on which clients speak them."""

import re

from gateway.protocols import openai
from gateway.protocols.protocol import ProtocolModule

_BY_PREFIX: dict[str, ProtocolModule] = {"v1": openai, "openai": openai}
# Google's and Anthropic's, whose SDKs take the gateway's address, too.
_OTHERS = re.compile(
    r"/v1(alpha|beta)\d*(/.*)?|/v1/(messages|complete)(/.*)?"
    r"|/v1/models/[^/]+:(\w+Content|\w+Contents|\w+Tokens|predict\w*)"
)


def protocol_of(path: str) -> ProtocolModule | None:
    """Return the protocol of a path, however many slashes it begins with; None for others."""
    return _BY_PREFIX.get(path.lstrip("/").partition("/")[0])


def protocol_meant(path: str) -> ProtocolModule | None:
    """Return the protocol of a client whose base URL lacks `/v1`, or is that of our own API."""
    rest = path.removeprefix("/api").removeprefix("/v1").rstrip("/")
    return openai if openai.match(f"/v1{rest}") else None


def is_of_another(path: str) -> bool:
    """Return whether a path is of an API that is not relayed, as clients of that API ask for it."""
    return bool(_OTHERS.fullmatch(path))
