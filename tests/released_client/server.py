"""A live server in this process, over the tests' database: the production handler, threads."""

import threading
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.db import connections

from core.fast_lane import EdgeHandler
from llmring_site import edge_routes


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            connections.close_all()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def serving():
    """The address of the server, for as long as the block lasts."""
    application = EdgeHandler(routes=edge_routes.routes(), patterns=edge_routes.patterns())
    with make_server(
        "127.0.0.1", 0, application, server_class=_Server, handler_class=_QuietHandler
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
