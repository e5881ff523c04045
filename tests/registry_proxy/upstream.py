"""A stub of the public registry: an adapter mounted on the client's session."""

import hashlib
from collections.abc import Callable, Iterator
from io import BytesIO, RawIOBase

import requests
import urllib3
from django.core.cache import cache
from requests.adapters import BaseAdapter

from registry_proxy import archives, client, custom_prices, snapshots
from registry_proxy.current_registry import current
from tests.registry_proxy import samples

BASE_URL = "http://registry.invalid/"


class StubUpstream(BaseAdapter):
    """Publishes `files` by path, with ETags; `broken` maps paths to faulty replies."""

    def __init__(self, *, down: bool = False) -> None:
        super().__init__()
        self.files = samples.files()
        self.broken: dict[str, Callable[[], requests.Response]] = {}
        self.down = down
        self.requests: list[requests.PreparedRequest] = []
        self.timeouts: list[tuple[float, float]] = []  # seconds to connect, and to read

    def session(self) -> requests.Session:
        session = requests.Session()
        session.mount(BASE_URL, self)
        return session

    def client(self, **options) -> client.RegistryClient:
        return client.RegistryClient(
            self.session(), base_url=BASE_URL, **{"timeout": 10, **options}
        )

    def publish(self, **changed: bytes) -> None:
        """Upstream is up, with the sample files; `openai=…` replaces that provider's file."""
        self.down = False
        self.files |= {f"{provider}/models.json": body for provider, body in changed.items()}

    @property
    def paths(self) -> list[str]:
        """The paths requested so far, sorted: parallel requests come in any order."""
        return sorted(request.url.removeprefix(BASE_URL) for request in self.requests)

    def send(self, request, *, timeout, **kwargs) -> requests.Response:
        self.requests.append(request)
        self.timeouts.append(timeout)
        path = request.url.removeprefix(BASE_URL)
        if self.down:
            raise requests.ConnectionError("http://user:password@registry.invalid is away")
        if path in self.broken:
            return self.broken[path]()
        if path not in self.files:
            return reply(404, b"<html>Not found</html>")
        body = self.files[path]
        etag = f'"{hashlib.sha256(body).hexdigest()[:8]}"'
        if request.headers.get("If-None-Match") == etag:
            return reply(304)
        return reply(200, body, {"ETag": etag, "Last-Modified": "Tue, 18 Aug 2026 21:05:03 GMT"})

    def close(self) -> None:
        pass


def reply(status: int, body: bytes = b"", headers: dict | None = None) -> requests.Response:
    return _response(status, BytesIO(body), headers or {})


def drip(chunks: Iterator[bytes]) -> requests.Response:
    """A reply whose body arrives in these pieces."""
    return _response(200, _Drip(chunks), {})


def restart() -> None:
    """Reset this process to the state of one that has just started."""
    current.reset()
    archives.fetcher.reset()
    snapshots.load.cache_clear()
    snapshots.load_prices.cache_clear()
    custom_prices.current.reset()
    cache.clear()


def give_up() -> None:
    """Have this process wait for the registry's return, as after a first try in vain."""
    current._has_tried, current._retry_at = True, float("inf")


class _Drip(RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        return next(self._chunks, b"")


def _response(status: int, stream, headers: dict) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    response.raw = urllib3.HTTPResponse(
        stream, headers=headers, status=status, preload_content=False
    )
    return response
