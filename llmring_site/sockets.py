"""The sockets that a server listens on: bound first, listening when it is ready."""

import errno
import socket
import sys
from collections.abc import Sequence

from llmring_site.startup import StartupError

BACKLOG = 2048
_ANY_HOST = ("::", "0.0.0.0")


def bind(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of the host; they do not listen yet.

    Raises StartupError if the port is in use, or the host is not one of this machine.
    """
    sockets: list[socket.socket] = []
    unavailable: OSError | None = None
    for family, address in _addresses(host, port):
        sock = socket.socket(family, socket.SOCK_STREAM)
        # Permits a restart while old connections linger; a port in use is refused all the same.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRNOTAVAIL:
                raise _refused(host, port, error) from None
            unavailable = error  # such as localhost's ::1 where IPv6 is off
        else:
            sockets.append(sock)
    if not sockets:
        raise _refused(host, port, unavailable)
    return sockets


def bind_all(addresses: Sequence[tuple[str, int] | None]) -> list[socket.socket]:
    """Return a socket for each different address. Raises StartupError."""
    sockets: list[socket.socket] = []
    # A socket of all hosts occupies the port of each, and one of IPv6 that of IPv4 too.
    for host, port in sorted(dict.fromkeys(filter(None, addresses)), key=_width):
        taken = {sock.getsockname()[:2] for sock in sockets}
        if not {(host, port), *((any_host, port) for any_host in _ANY_HOST)} & taken:
            sockets += bind(host, port)
    return sockets


def _width(address: tuple[str, int]) -> int:
    host = address[0].strip("[]")
    return _ANY_HOST.index(host) if host in _ANY_HOST else len(_ANY_HOST)


def _addresses(host: str, port: int) -> list[tuple[int, tuple]]:
    try:
        addresses = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError):
        raise StartupError(
            f"--host (or LISTEN_ADDR) must be an address of this machine, got {host!r}"
        ) from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in addresses))


def _refused(host: str, port: int, error: OSError | None) -> StartupError:
    if error is not None and error.errno == errno.EADDRINUSE:
        return StartupError(
            f"port {port} is in use: another server runs there; choose one with --port "
            "(or LISTEN_ADDR, if that names it)"
        )
    reason = "" if error is None else f" ({error.strerror})"
    return StartupError(f"cannot listen on {host} port {port}{reason}")


def listen(sockets: Sequence[socket.socket]) -> None:
    """Accept connections from now on. Raises StartupError if another server listens already."""
    for sock in sockets:
        try:
            sock.listen(BACKLOG)
        except OSError as error:
            host, port = sock.getsockname()[:2]
            raise _refused(host, port, error) from None


def spread(sockets: Sequence[socket.socket], workers: int) -> list[list[socket.socket]]:
    """Return the listening sockets of each worker, among which Linux spreads connections.

    On a shared socket, the first worker to wake up accepts all waiting connections: sixteen
    at once would be served by one worker. The first worker's sockets are `sockets`, which
    listened without SO_REUSEPORT until now: no other server can have joined them.
    """
    if workers == 1 or not sys.platform.startswith("linux"):
        return [[*sockets] for _ in range(workers)]
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [[*sockets], *([_twin(sock) for sock in sockets] for _ in range(workers - 1))]


def _twin(sock: socket.socket) -> socket.socket:
    twin = socket.socket(sock.family, sock.type)
    twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        twin.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    twin.bind(sock.getsockname())
    twin.listen(BACKLOG)
    return twin
