"""Each test runs on both event loops."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from core.egress.http_client import HttpClient
from tests.connections import serving
from tests.http_client.peer import (
    Server,
)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine function with a client and a server, on each of the event loops."""

    def run(
        story: Callable[[HttpClient, "Server"], Awaitable[None]],
        encryption: ssl.SSLContext | None = None,
    ) -> None:
        async def main() -> None:
            client, server = HttpClient(), Server()
            async with serving(server.connected, ssl=encryption) as port:
                server.url = f"{'https' if encryption else 'http'}://127.0.0.1:{port}"
                async with asyncio.timeout(20):
                    await story(client, server)
                client.close()

        request.param(main())

    return run
