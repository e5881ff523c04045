"""One request to an upstream: sent once, and again only where it cannot have begun.

A request that was sent whole and not answered may have been billed: it is never repeated.
Source: docs/gateway.md, section "Retries".
"""

import asyncio
import re
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any
from weakref import WeakKeyDictionary

from core.egress.http_answer import Answer, BodyStalled, BrokenConnection
from core.egress.http_client import HttpClient, Unreachable
from gateway import errors
from gateway.upstream_config import UpstreamConfig

HasGoneWithin = Callable[[float], Awaitable[bool]]  # whether the client leaves in so many seconds

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, HttpClient] = WeakKeyDictionary()
_RETRIED_STATUSES = (429, 503)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_MAX_WAIT = 5  # seconds; who asks for longer is not asked again
_RECONNECT_SECONDS = 0.1
# An idle connection that dies when it is used again was closed by the other side, which
# then has not read the request. Servers keep them for longer than this.
_IDLE_SECONDS = 4


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent.

    `body` is None without one, a function that makes it for each attempt, or an iterable
    that can be sent only once.
    """

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: Callable[[], Any] | AsyncIterable[bytes] | None

    @property
    def can_repeat(self) -> bool:
        return self.body is None or callable(self.body)

    def data(self) -> Any:
        return self.body() if callable(self.body) else self.body

    def with_body(self, data: bytes) -> "UpstreamRequest":
        return replace(self, body=lambda: data)


def _client() -> HttpClient:
    """Return the running loop's client."""
    loop = asyncio.get_running_loop()
    if (client := _clients.get(loop)) is None:
        client = _clients[loop] = HttpClient()
    return client


async def close() -> None:
    """End the running loop's connections."""
    if client := _clients.pop(asyncio.get_running_loop(), None):
        client.close()


def deadline(upstream: UpstreamConfig) -> float:
    """Return when a call that begins now has to end, by the monotonic clock."""
    return time.monotonic() + (upstream.timeouts.request or float("inf"))


async def send(
    request: UpstreamRequest,
    upstream: UpstreamConfig,
    *,
    ends_at: float,
    has_gone_within: HasGoneWithin,
) -> Answer:
    """Return the answer as soon as its headers are there.

    `ends_at` is the call's deadline. Nothing is sent again for a client that has gone. Raises
    UpstreamUnreachable (nothing was sent), UpstreamBroken, UpstreamTimeout (it may have been
    billed), UpstreamRedirects, RequestIncomplete.
    """
    retries = upstream.retries if request.can_repeat else 0
    for attempt in range(retries):
        response = await _connected(request, upstream, ends_at, has_gone_within)
        if response.status not in _RETRIED_STATUSES or _forbids_retry(response):
            return _checked(response, upstream)
        wait = _wait(response, attempt)
        if wait > _MAX_WAIT or time.monotonic() + wait >= ends_at:
            return _checked(response, upstream)
        try:
            if await has_gone_within(wait):
                return _checked(response, upstream)
        except asyncio.CancelledError:
            response.close()
            raise
        response.close()
    return _checked(await _connected(request, upstream, ends_at, has_gone_within), upstream)


def _checked(response: Answer, upstream: UpstreamConfig) -> Answer:
    """Return an answer that can be relayed. Raises UpstreamRedirects, UpstreamBroken."""
    if 300 <= response.status < 400 and response.status != 304:
        response.close()
        raise errors.UpstreamRedirects("The upstream redirects to another address")
    if not 200 <= response.status < 600:
        response.close()
        raise errors.UpstreamBroken(f"The upstream answered with the status {response.status}")
    response.limit_silence(upstream.timeouts.idle)
    return response


async def _connected(
    request: UpstreamRequest,
    upstream: UpstreamConfig,
    ends_at: float,
    has_gone_within: HasGoneWithin,
) -> Answer:
    """Send the request; once more if there was no connection, or one that had ended unnoticed."""
    try:
        return await _send(request, upstream, ends_at)
    except errors.UpstreamUnreachable:
        if not request.can_repeat or time.monotonic() + _RECONNECT_SECONDS >= ends_at:
            raise
        if await has_gone_within(_RECONNECT_SECONDS):
            raise
    except errors.UpstreamBroken as error:
        broken = error.__cause__
        was_idle = broken.is_silent and (broken.idle_seconds or 0) > _IDLE_SECONDS
        if not (was_idle and request.can_repeat):
            raise
        if await has_gone_within(0):
            raise
    return await _send(request, upstream, ends_at)


async def _send(request: UpstreamRequest, upstream: UpstreamConfig, ends_at: float) -> Answer:
    try:
        return await _attempt(request, upstream, ends_at)
    except Unreachable as error:
        raise errors.UpstreamUnreachable(
            f"The upstream {upstream.name!r} cannot be reached"
        ) from error
    except BodyStalled as error:
        raise errors.RequestIncomplete("The request's body did not come in time") from error
    except TimeoutError as error:
        raise errors.UpstreamTimeout("The upstream did not answer in time") from error
    except BrokenConnection as error:
        raise errors.UpstreamBroken("The upstream closed the connection") from error


async def _attempt(request: UpstreamRequest, upstream: UpstreamConfig, ends_at: float) -> Answer:
    timeouts = upstream.timeouts
    left = ends_at - time.monotonic()
    return await _client().send(
        request.method,
        request.url,
        request.headers,
        request.data(),
        connect_seconds=timeouts.connect,
        head_seconds=timeouts.response_header,
        seconds=left if left < float("inf") else None,
    )


def _forbids_retry(response: Answer) -> bool:
    """Return whether the upstream says that another attempt cannot help, as OpenAI's SDKs read it.

    Such as for an account without credit, which is 429 as well.
    """
    return response.header(b"x-should-retry").strip().lower() == "false"


def _wait(response: Answer, attempt: int) -> float:
    """Return the seconds until the next attempt: those that the upstream asks for, if it does.

    Source: RFC 9110, section 10.2.3; OpenAI's SDKs for milliseconds, and for fractions.
    """
    milliseconds, asked = response.header(b"retry-after-ms"), response.header(b"retry-after")
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    if _NUMBER.fullmatch(asked):
        return float(asked)
    try:
        return parsedate_to_datetime(asked).timestamp() - time.time()
    except (ValueError, OverflowError):
        return min(0.5 * 2**attempt, _MAX_WAIT)
