"""The HTTP server, on sockets that are bound already (llmring_site/sockets.py)."""

import gc
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from django.conf import settings

from llmring_site import metrics_files, parent_watchdog, startup
from llmring_site.sockets import BACKLOG, listen, spread

_GRACE_SECONDS = 30  # for running requests after SIGTERM
_KEEP_ALIVE_SECONDS = 75  # longer than the 60 after which proxies close idle connections


class Announcement:
    """Prints one line when the first worker serves, and never again."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        # Workers, which are forked later, share the pipe: one of them reads the byte.
        self._turn, write_end = os.pipe()
        os.write(write_end, b"1")
        os.close(write_end)

    def print(self) -> None:
        if not os.read(self._turn, 1):
            return
        url = settings.PUBLIC_URL
        places = ", ".join(_spelled(sock.getsockname()) for sock in self._sockets)
        with suppress(OSError):  # a full disk below the output is no reason not to serve
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
            # Not uvicorn's, which drops running requests at the second signal (Ctrl-C reaches
            # every process, twice under `uv run`) and ends by the signal instead of with status 0.
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
    """Serve in forked workers until stopped; return the exit status."""
    from llmring_site import asgi  # noqa: F401  loaded before the fork, to share its memory
    from llmring_site.supervisor import Supervisor

    listen(sockets)
    # Memory stays shared until it is written to, as by a garbage collector that looks at it.
    gc.collect()
    gc.freeze()
    # Requests create hardly any reference cycles: looking for them took 3 % of the time.
    gc.set_threshold(10_000, 20, 20)
    announcement = Announcement(sockets)
    own = spread(sockets, workers)
    return Supervisor(
        lambda slot: serve(own[slot], announcement), count=workers, ended=metrics_files.forget
    ).run()


def serve_here(sockets: Sequence[socket.socket]) -> None:
    """Serve in this process alone. Raises StartupError if another server listens already."""
    from llmring_site import asgi  # noqa: F401  loaded before any connection waits

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
