"""Each test runs on both event loops."""

import asyncio

import pytest
import uvloop
from structlog.contextvars import clear_contextvars

from tests.http_server.server import Server


@pytest.fixture(autouse=True)
def _no_request():
    """The edge binds the id of a request to the context, here that of all tests."""
    clear_contextvars()


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Run `story(server)` before an application, on each of the event loops."""

    def run(application, story, **options) -> None:
        async def main() -> None:
            async with Server(application, **options) as server, asyncio.timeout(20):
                await story(server)

        request.param(main())

    return run
