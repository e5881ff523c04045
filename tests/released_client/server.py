"""A live server in this process, over the tests' database: the production application."""

import threading
from contextlib import contextmanager

import uvicorn

from core.database.group_commit import close_writers
from core.lifespan import Lifespan
from llmring_site.application import edge
from llmring_site.http_server.protocol import HttpProtocol
from llmring_site.sockets import bind, listen


@contextmanager
def serving():
    """The address of the server, for as long as the block lasts."""
    [socket] = bind("127.0.0.1", 0)
    listen([socket])
    # The registry is not followed here; the key listener is a fixture's.
    application = Lifespan(edge, start=lambda: None, stop=close_writers)
    server = uvicorn.Server(
        uvicorn.Config(application, http=HttpProtocol, lifespan="on", log_config=None)
    )
    thread = threading.Thread(target=server.run, args=[[socket]], daemon=True)
    thread.start()
    try:
        yield "http://{}:{}".format(*socket.getsockname())
    finally:
        server.should_exit = True
        thread.join()
