"""Outbound HTTP: which addresses may be called, for how long, and how much they may return.

    with egress.time_limit(20), egress.session() as session:
        with session.get(url, timeout=(3, 10), stream=True) as response:
            body = egress.read(response, limit=2**20)

Every connection is checked where it is opened: the name is resolved, forbidden
addresses are dropped, and the socket is connected to one of the others. No second
lookup can lead elsewhere (DNS rebinding), and a redirect is checked like any other
call. Proxies and passwords of the environment are not used: a proxy would resolve
names by itself.

    requests.RequestException
      ForbiddenAddress    the policy refuses the address; nothing was sent
      TooLarge            the answer is longer than the limit
      requests.Timeout, requests.ConnectionError, …
"""

import socket
import threading
import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from core.egress.addresses import is_permitted
from core.egress.cancellation import cancellable, is_cancelled
from core.egress.deadlines import LimitedResponse, remaining, time_limit

__all__ = [
    "ForbiddenAddress",
    "TooLarge",
    "cancellable",
    "check_host",
    "is_cancelled",
    "pieces",
    "read",
    "session",
    "time_limit",
]

CONNECT_SECONDS = 5
_CHUNK = 2**16


class ForbiddenAddress(requests.ConnectionError):
    """The policy refuses the address; nothing was sent."""


class TooLarge(requests.RequestException):
    """The answer is longer than the limit."""


def session(*, pool_size: int = 10) -> requests.Session:
    """Return a session for permitted calls; `pool_size` connections per host stay open.

    It follows three redirects at most. Cookies are not kept, so threads can share it.
    """
    made = _Session()
    made.trust_env = False
    made.verify = settings.CA_BUNDLE
    made.max_redirects = 3
    made.cookies.set_policy(_NoCookies())
    made.headers["User-Agent"] = f"llmring-server/{settings.VERSION}"
    adapter = _Adapter(pool_connections=4, pool_maxsize=pool_size)
    for scheme in ("http://", "https://"):
        made.mount(scheme, adapter)
    return made


def check_host(host: str) -> None:
    """Raise ForbiddenAddress if the host is, as it is written, a refused address.

    Other names than localhost are resolved only when they are called.
    """
    literal = host.strip("[]")
    if literal.rstrip(".").lower() == "localhost" or literal.lower().endswith(".localhost"):
        literal = "127.0.0.1"
    try:
        permitted = is_permitted(literal, private=settings.EGRESS == "private")
    except ValueError:
        return
    if not permitted:
        raise ForbiddenAddress(_refusal(host))


def read(response: requests.Response, *, limit: int) -> bytes:
    """Return the whole body of a streamed response. Raises TooLarge beyond `limit` bytes."""
    return b"".join(pieces(response, limit=limit))


def pieces(response: requests.Response, *, limit: int) -> Iterator[bytes]:
    """Yield the body of a streamed response as it arrives. Raises TooLarge beyond `limit` bytes."""
    size = 0
    try:
        # read1 returns after each arrival; read would wait for a whole chunk.
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The answer is longer than {limit} bytes", response=response)
            yield piece
    except (urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
        raise requests.ReadTimeout(error, response=response) from error
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error, response=response) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, requests.RequestException):
            raise
        raise requests.ConnectionError(error, response=response) from error


class _Session(requests.Session):
    """Reads nothing of a redirect but its address: the body may have no end."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            resp.raw.close()
        return target

    def resolve_redirects(self, *args, yield_requests=False, **options) -> Iterator:
        # With allow_redirects off, requests would still prepare the next one, and may fail.
        return iter(()) if yield_requests else super().resolve_redirects(*args, **options)


class _NoCookies(DefaultCookiePolicy):
    def set_ok(self, cookie, request) -> bool:
        return False


class _Forbidden(Exception):
    """Not an OSError, which urllib3 takes for a failed connection."""


class _Connection(HTTPConnection):
    """Connects to a permitted address of its host, and to no other."""

    response_class = LimitedResponse

    def _new_conn(self) -> socket.socket:
        timeout = self.timeout if isinstance(self.timeout, int | float) else CONNECT_SECONDS
        try:
            timeout = remaining(timeout)
            return _connect(self._dns_host, self.port, timeout, self.socket_options)
        except (TimeoutError, requests.Timeout) as error:
            text = f"{self.host} does not accept connections"
            raise urllib3.exceptions.ConnectTimeoutError(self, text) from error
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, str(error)) from error


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args, **kwargs) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def send(self, request, **kwargs) -> requests.Response:
        try:
            return super().send(request, **kwargs)
        except _Forbidden as error:
            raise ForbiddenAddress(str(error), request=request) from None


def _connect(host: str, port: int, timeout: float, options) -> socket.socket:
    deadline = time.monotonic() + timeout
    resolved = _resolve(host, port, timeout)
    private = settings.EGRESS == "private"
    permitted = [each for each in resolved if is_permitted(each[4][0], private=private)]
    if not permitted:
        raise _Forbidden(_refusal(host))
    failure: OSError = TimeoutError()
    for family, kind, protocol, _, address in permitted:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            for option in options or ():
                sock.setsockopt(*option)
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


def _resolve(host: str, port: int, timeout: float) -> list[tuple]:
    """Return what getaddrinfo does. It has no timeout, so a thread waits for names."""
    try:
        ip_address(host.strip("[]"))
        return socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except ValueError:
        pass
    outcome: list = []

    def resolve() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            outcome.append(error)

    thread = threading.Thread(target=resolve, name="resolver", daemon=True)
    thread.start()
    thread.join(timeout)
    match outcome:
        case []:
            raise TimeoutError(f"{host} was not resolved in time")
        case [OSError() as error]:
            raise error
        case [UnicodeError() as error]:
            raise socket.gaierror(str(error)) from error
    return outcome[0]


def _refusal(host: str) -> str:
    return f"{host} is an address that this server does not call"
