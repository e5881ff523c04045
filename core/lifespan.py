"""The start and the end of a process that serves ASGI."""

import asyncio
from collections.abc import Awaitable, Callable

from core import bridge
from core.asgi import Application, Receive, Scope, Send


class Lifespan:
    """Handles the server's lifespan messages; passes every request to `application`.

    `start` is called in the serving process before its first request, even if there are no
    lifespan messages, as in an application mounted in another one. `stop` is called at shutdown.
    """

    def __init__(
        self,
        application: Application,
        *,
        start: Callable[[], None],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self._application = application
        self._start = start
        self._stop = stop
        self._loop: asyncio.AbstractEventLoop | None = None  # which only one process has

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                self._begin()
                await self._application(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await send({"type": "websocket.close"})

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            bridge.adopt(loop)
            self._start()
            self._loop = loop

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._begin()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._stop()
                bridge.release()
                await send({"type": "lifespan.shutdown.complete"})
                return
