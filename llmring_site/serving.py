"""The HTTP server, on sockets that are bound (llmring_site/sockets.py)."""

import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from django.conf import settings

from llmring_site import metrics_files, parent_watchdog, startup
from llmring_site.sockets import BACKLOG, listen, spread

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 30  # for running requests after SIGTERM
_KEEP_ALIVE_SECONDS = 75  # longer than the 60 after which proxies give up their side


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
        url = settings.PUBLIC_URL
        places = ", ".join(_spelled(sock.getsockname()) for sock in self._sockets)
        with suppress(OSError):  # of a log on a full disk: no reason not to serve
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
            proxy_headers=False,  # the application decides which proxies to trust
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
