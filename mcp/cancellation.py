"""Cancel calls whose caller closes the connection instead of waiting for the reply."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from django.http import HttpRequest

from core import egress
from core.idempotency import HEADER


@contextmanager
def cancelled_with_client(request: HttpRequest) -> Iterator[None]:
    """Cancel the block's calls of MCP servers when the client of the request goes.

    A call with an `Idempotency-Key` goes on: a retry gets its reply. So do all calls behind
    other servers than core/wsgi_bridge.py, which do not tell who has gone.
    """
    client = None if HEADER in request.headers else request.META.get("llmring.client")
    with egress.cancellable() as cancel:

        def notice(gone: Future) -> None:
            if not gone.cancelled() and gone.exception() is None:
                cancel()

        if client is not None:
            client.gone.add_done_callback(notice)
        yield
