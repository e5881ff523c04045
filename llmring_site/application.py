"""The applications, put together. Django is set up."""

import asyncio

from django.core.handlers.wsgi import WSGIHandler

from accounts import mailing
from accounts.edge_admission import admit_request, count_public, presents_key
from core.database import embedded, group_commit
from core.edge import Edge
from core.lifespan import Lifespan
from core.wsgi_bridge import WSGIBridge
from gateway import call_relay, event_log, metrics, upstream_call
from gateway.application import Gateway
from llmring_site import background, urls

group_commit.observe(metrics.group_commit)


def _start() -> None:
    embedded.rejoin()
    background.start()


async def _stop() -> None:
    await call_relay.stop()
    await upstream_call.close()
    await group_commit.close_writers()
    await asyncio.to_thread(event_log.close)
    await asyncio.to_thread(mailing.finish)
    # `atexit` functions do not run: uvicorn ends by its signal, our workers by os._exit.
    await asyncio.to_thread(embedded.leave)


class _Handler(WSGIHandler):
    def __call__(self, environ, start_response):
        background.start()  # in the process that serves: it may have been forked since the import
        return super().__call__(environ, start_response)


wsgi = _Handler()
edge = Edge(
    urls.EDGE_ROUTES,
    can_admit=presents_key,
    admit=admit_request,
    admit_public=count_public,
    fallback=WSGIBridge(WSGIHandler()),
)
asgi = Lifespan(Gateway(edge), start=_start, stop=_stop)
