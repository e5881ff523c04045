"""One request to an upstream: sent once, and again only where it cannot have begun.

A request that was sent whole and not answered may have been billed: it is never repeated.
Source: docs/gateway.md, section "Retries".
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from core.egress import asynchronous
from gateway import errors
from gateway.upstream_config import UpstreamConfig
from gateway.upstreams import UpstreamState

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()
_RETRIED_STATUSES = (429, 503)
_MAX_WAIT = 5  # seconds, for a retry
_RECONNECT_SECONDS = 0.1
# An idle connection that dies when it is used again was closed by the other side, which
# then has not read the request. Servers keep them for longer than this.
_IDLE_SECONDS = 4

# Bytes of a line or a header: policies of what a browser may do are longer than 8 KB.
_MAX_HEADER = 64 * 1024

# Raised while an answer is read.
BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent. `body` makes it anew for each attempt; None is for one that streams once."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: Callable[[], Any] | AsyncIterator[bytes] | None

    @property
    def can_repeat(self) -> bool:
        return self.body is None or callable(self.body)

    def data(self) -> Any:
        return self.body() if callable(self.body) else self.body

    def with_body(self, data: bytes) -> "UpstreamRequest":
        return replace(self, body=lambda: data)


def session() -> aiohttp.ClientSession:
    """Return the running loop's session."""
    loop = asyncio.get_running_loop()
    found = _sessions.get(loop)
    if found is None or found.closed:
        found = _sessions[loop] = asynchronous.client_session(
            max_line_size=_MAX_HEADER, max_field_size=_MAX_HEADER
        )
    return found


async def close() -> None:
    """Close the running loop's session."""
    if found := _sessions.pop(asyncio.get_running_loop(), None):
        await found.close()


async def send(
    request: UpstreamRequest, upstream: UpstreamConfig, state: UpstreamState
) -> aiohttp.ClientResponse:
    """Return the answer as soon as its headers are there.

    Raises UpstreamUnreachable (nothing was sent), UpstreamBroken, UpstreamTimeout (it may
    have been billed), UpstreamRedirects.
    """
    ends_at = time.monotonic() + (upstream.timeouts.request or float("inf"))
    retries = upstream.retries if request.can_repeat else 0
    for attempt in range(retries):
        response = await _connected(request, upstream, state, ends_at)
        wait = _wait(response, attempt)
        if response.status not in _RETRIED_STATUSES or time.monotonic() + wait >= ends_at:
            return _checked(response, upstream)
        response.close()
        await asyncio.sleep(wait)
    return _checked(await _connected(request, upstream, state, ends_at), upstream)


def _checked(response: aiohttp.ClientResponse, upstream: UpstreamConfig) -> aiohttp.ClientResponse:
    """Return an answer that can be relayed. Raises UpstreamRedirects, UpstreamBroken."""
    if 300 <= response.status < 400 and response.status != 304:
        response.close()
        raise errors.UpstreamRedirects("The upstream redirects to another address")
    if not 200 <= response.status < 600:
        response.close()
        raise errors.UpstreamBroken(f"The upstream answered with the status {response.status}")
    if response.connection is not None:  # the answer goes on
        _limit_silence(response.connection.protocol, upstream.timeouts.idle)
    return response


async def _connected(
    request: UpstreamRequest, upstream: UpstreamConfig, state: UpstreamState, ends_at: float
) -> aiohttp.ClientResponse:
    """Send it, once more where there was no connection, or one that had ended unnoticed."""
    was_idle = time.monotonic() - state.answered_at > _IDLE_SECONDS
    asynchronous.connection_is_reused.set(False)
    try:
        return await _send(request, upstream, ends_at)
    except errors.UpstreamUnreachable:
        if not request.can_repeat:
            raise
        await asyncio.sleep(_RECONNECT_SECONDS)
    except errors.UpstreamBroken as error:
        is_reused = asynchronous.connection_is_reused.get()
        if not (is_reused and was_idle and request.can_repeat and _is_silent(error)):
            raise
    return await _send(request, upstream, ends_at)


def _is_silent(error: errors.UpstreamBroken) -> bool:
    """Return whether the connection ended before any byte of an answer."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return isinstance(cause.message, str)  # otherwise it is what had arrived
    return isinstance(cause, aiohttp.ClientOSError | ConnectionError)


async def _send(
    request: UpstreamRequest, upstream: UpstreamConfig, ends_at: float
) -> aiohttp.ClientResponse:
    try:
        return await _attempt(request, upstream, ends_at)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise errors.UpstreamUnreachable(
            f"The upstream {upstream.name!r} cannot be reached"
        ) from error
    except TimeoutError as error:
        raise errors.UpstreamTimeout("The upstream did not answer in time") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise errors.UpstreamBroken("The upstream closed the connection") from error


async def _attempt(
    request: UpstreamRequest, upstream: UpstreamConfig, ends_at: float
) -> aiohttp.ClientResponse:
    timeouts = upstream.timeouts
    left = ends_at - time.monotonic()
    async with asyncio.timeout(timeouts.response_header):
        return await session().request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.headers,
            data=request.data(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                # For aiohttp, 0 is no limit.
                total=max(left, 0.001) if left < float("inf") else None,
                connect=None,
                sock_connect=timeouts.connect,
            ),
        )


def _limit_silence(protocol: ResponseHandler, seconds: float) -> None:
    """Have reading raise TimeoutError after so many seconds without a byte.

    The connection's own timer costs a quarter of a timeout around each read, and stands
    still while a slow client keeps us from reading. A session's `sock_read` would include
    the wait for the answer, which has a limit of its own.
    """
    protocol.read_timeout = seconds
    protocol.start_timeout()


def _wait(response: aiohttp.ClientResponse, attempt: int) -> float:
    asked = response.headers.get("Retry-After", "")
    seconds = float(asked) if asked.isdigit() else 0.5 * 2**attempt
    return min(seconds, _MAX_WAIT)
