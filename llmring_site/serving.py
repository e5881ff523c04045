"""Sockets, and the HTTP server on them."""

import errno
import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from llmring_site import metrics_files, parent_watchdog, startup

logger = logging.getLogger(__name__)

BACKLOG = 2048
_ANY_HOST = ("::", "0.0.0.0")
_GRACE_SECONDS = 30  # for running requests after SIGTERM
_KEEP_ALIVE_SECONDS = 75  # longer than the 60 after which proxies give up their side


def bind(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of the host; they do not listen yet.

    Raises StartupError when the port is in use, or the host is none of this machine.
    """
    sockets: list[socket.socket] = []
    unavailable: OSError | None = None
    for family, address in _addresses(host, port):
        sock = socket.socket(family, socket.SOCK_STREAM)
        # For a restart while old connections are dying; a port that is served stays refused.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRNOTAVAIL:
                raise _refused(host, port, error) from None
            unavailable = error  # as ::1 of localhost, where IPv6 is off
        else:
            sockets.append(sock)
    if not sockets:
        raise _refused(host, port, unavailable)
    return sockets


def bind_all(addresses: Sequence[tuple[str, int] | None]) -> list[socket.socket]:
    """Return a socket for each different address. Raises StartupError."""
    sockets: list[socket.socket] = []
    # A socket of all hosts has the port of each of them, and of IPv6 that of IPv4 too.
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
        raise startup.StartupError(
            f"--host (or LISTEN_ADDR) must be an address of this machine, got {host!r}"
        ) from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in addresses))


def _refused(host: str, port: int, error: OSError | None) -> startup.StartupError:
    if error is not None and error.errno == errno.EADDRINUSE:
        return startup.StartupError(
            f"port {port} is in use: another server runs there; choose one with --port "
            "(or LISTEN_ADDR, if that names it)"
        )
    reason = "" if error is None else f" ({error.strerror})"
    return startup.StartupError(f"cannot listen on {host} port {port}{reason}")


def listen(sockets: Sequence[socket.socket]) -> None:
    """Let connections in. Raises StartupError when another server was faster."""
    for sock in sockets:
        try:
            sock.listen(BACKLOG)
        except OSError as error:
            host, port = sock.getsockname()[:2]
            raise _refused(host, port, error) from None


def spread(sockets: Sequence[socket.socket], workers: int) -> list[list[socket.socket]]:
    """Return the listening sockets of each worker, among which Linux spreads connections.

    A socket that all workers share is emptied by the first one that looks: sixteen
    connections at once would all be served by one worker. The first worker's sockets
    are those given, which listen alone until here: no other server can join them.
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


class Announcement:
    """Prints one line when the first of all workers serves, and never again."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        # Workers that are forked later share the pipe, and one of them gets the byte.
        self._turn, write_end = os.pipe()
        os.write(write_end, b"1")
        os.close(write_end)

    def print(self) -> None:
        if not os.read(self._turn, 1):
            return
        from django.conf import settings

        url = settings.PUBLIC_URL
        places = ", ".join(_spelled(sock.getsockname()) for sock in self._sockets)
        print(f"Ready: {url}  {url}/docs  {url}/admin/  (listening on {places})", flush=True)


def _spelled(address: tuple) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(sockets: Sequence[socket.socket], announcement: Announcement) -> None:
    """Serve the ASGI application in this process until SIGTERM or SIGINT."""
    import uvicorn

    from llmring_site.asgi import application
    from llmring_site.http_server.protocol import HttpProtocol

    class Server(uvicorn.Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets)
            if self.started:
                announcement.print()

        def handle_exit(self, sig, frame) -> None:
            # However often it is asked (Ctrl-C reaches every process, twice under `uv run`),
            # running requests are finished. The status stays 0.
            self.should_exit = True

    Server(
        uvicorn.Config(
            application,
            loop="uvloop",
            http=HttpProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whom to believe is for the application to know
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    ).run(sockets=list(sockets))


def serve_forked(sockets: Sequence[socket.socket], *, workers: int) -> int:
    """Serve in so many forked workers; return the exit status."""
    from llmring_site import asgi  # noqa: F401  loaded before the fork, its pages are shared
    from llmring_site.supervisor import Supervisor

    listen(sockets)
    # What is loaded by now stays shared as long as the garbage collector, which
    # writes to everything it looks at, leaves it alone.
    gc.collect()
    gc.freeze()
    # What requests make is hardly ever part of a cycle: looking for those took 3 % of the time.
    gc.set_threshold(10_000, 20, 20)
    announcement = Announcement(sockets)
    own = spread(sockets, workers)
    return Supervisor(
        lambda slot: serve(own[slot], announcement), count=workers, ended=metrics_files.forget
    ).run()


def serve_here(sockets: Sequence[socket.socket]) -> None:
    """Serve in this process alone. Raises StartupError when another server was faster."""
    from llmring_site import asgi  # noqa: F401  loaded before the first connection waits for it

    listen(sockets)
    serve(sockets, Announcement(sockets))


def serve_reloading(sockets: Sequence[socket.socket]) -> NoReturn:
    """Serve in a child process that is restarted when a source file changes."""
    from django.utils import autoreload

    def run() -> None:
        parent_watchdog.watch(os.getppid())
        try:
            startup.make_ready()
            serve_here(sockets)
        except startup.OPERATOR_ERRORS as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(1)  # the reloader's loop runs in another thread

    autoreload.run_with_reloader(run)
    sys.exit()
