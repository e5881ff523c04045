"""urllib3's connections, which connect to permitted addresses only."""

import socket
import threading
import time
from ipaddress import ip_address

import requests
import urllib3
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from core.egress.addresses import is_permitted
from core.egress.deadlines import LimitedResponse, remaining

CONNECT_SECONDS = 5


class ForbiddenAddress(requests.ConnectionError):
    """The policy refuses the address; nothing was sent."""


def check_host(host: str) -> None:
    """Raise ForbiddenAddress if the host is an address, or localhost, that may not be called.

    Other names are checked only when they are called.
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


class Refused(Exception):
    """A connection's address is forbidden. No OSError, which urllib3 would translate."""


class _Connection(HTTPConnection):
    """Connects to permitted addresses of its host only."""

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


class CheckedPool(HTTPConnectionPool):
    ConnectionCls = _Connection


class CheckedSecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _connect(host: str, port: int, timeout: float, options) -> socket.socket:
    deadline = time.monotonic() + timeout
    resolved = _resolve(host, port, timeout)
    private = settings.EGRESS == "private"
    permitted = [each for each in resolved if is_permitted(each[4][0], private=private)]
    if not permitted:
        raise Refused(_refusal(host))
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
    """Return the result of getaddrinfo, which has no timeout: for names a thread calls it."""
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
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    return outcome[0]


def _refusal(host: str) -> str:
    return f"{host} is an address that this server does not call"
