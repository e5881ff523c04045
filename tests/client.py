"""The test client: JSON in and out, through the production application."""

import json
import os
from copy import copy
from inspect import iscoroutinefunction

import django.test.client
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler, FakePayload

from accounts.models import ApiKey, Project
from core import bridge
from core.asgi import Headers
from llmring_site.application import edge
from tests import openapi

_middleware: dict[str, object] | None = None  # as the settings are now
# Settings that Django's and WhiteNoise's middleware read when they are made.
_READ_ONCE = ("MIDDLEWARE", "SECURE_", "STATIC", "STORAGES", "WHITENOISE_", "DEBUG", "FORCE_SCRIPT")


@receiver(setting_changed)
def _forget_middleware(setting, **changed) -> None:
    global _middleware
    if setting.startswith(_READ_ONCE):
        _middleware = None


_load_middleware = ClientHandler.load_middleware


def _share_middleware(handler: ClientHandler, is_async=False) -> None:
    """Give a client the middleware of all, which looks through all static files when made."""
    global _middleware
    if _middleware is None:
        _load_middleware(handler, is_async)
        _middleware = {name: vars(handler)[name] for name in vars(handler) if "_middleware" in name}
    vars(handler).update(_middleware)


ClientHandler.load_middleware = _share_middleware  # Django's own clients are no exception


_store_rendered_templates = django.test.client.store_rendered_templates


def _store_page(store: dict, **rendered) -> None:
    """Note what a page was rendered with; copies for its hundreds of parts would take a while."""
    if "context" not in store:
        _store_rendered_templates(store, **rendered)


django.test.client.store_rendered_templates = _store_page


def _record(environ: dict, response) -> None:
    """Append the exchange to the file that $RECORD names (tests/exchanges.py compares two)."""
    exchange = {
        "test": os.environ["PYTEST_CURRENT_TEST"].split(" ")[0],
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "query": environ.get("QUERY_STRING", ""),
        "status": response.status_code,
        "headers": dict(sorted(response.headers.items())),
        "body": "" if response.streaming else response.content.decode("utf-8", "replace"),
    }
    line = json.dumps(exchange).encode() + b"\n"
    with open(os.environ["RECORD"], "ab", buffering=0) as file:
        file.write(line)


class _Handler(ClientHandler):
    """The production application: the edge for its routes, else Django's views.

    VIEWS=1 in the environment leaves everything to the views.
    """

    def __call__(self, environ):
        response = self._respond(environ)
        if "RECORD" in os.environ:
            _record(environ, response)
        openapi.check(environ["REQUEST_METHOD"], environ["PATH_INFO"], response)
        return response

    def _respond(self, environ):
        scope = _scope(environ)
        found = edge.match(scope["method"], scope["path"])
        if "VIEWS" in os.environ or not found:
            return super().__call__(environ)
        if not edge.serves(found[0], Headers(scope["headers"])):
            return super().__call__(environ)
        # Sync endpoints run in this thread, where a test can count their queries.
        run = bridge.run if iscoroutinefunction(found[0].endpoint) else bridge.run_inline
        body = environ["wsgi.input"].read()
        try:
            response = run(_exchange(scope, body))
        except _LeftToViews as left:
            noted = {"llmring.noted_headers": left.noted_headers} if left.noted_headers else {}
            return super().__call__({**environ, **noted, "wsgi.input": FakePayload(body)})
        response.wsgi_request = WSGIRequest(environ)
        return response


class _LeftToViews(Exception):
    """The edge hands a request on after all, with what it has noted for the reply."""

    def __init__(self, noted_headers) -> None:
        super().__init__()
        self.noted_headers = noted_headers


async def _leave(scope, receive, send) -> None:
    raise _LeftToViews(scope.get("llmring.noted_headers"))


_edge = copy(edge)
_edge._fallback = _leave


def _scope(environ: dict) -> dict:
    """The ASGI form of a WSGI request."""
    headers = [
        (
            name.removeprefix("HTTP_").replace("_", "-").lower().encode(),
            str(value).encode("latin-1"),
        )
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    ]
    return {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": [*headers, (b"host", environ["SERVER_NAME"].encode())],
        "client": (environ["REMOTE_ADDR"], 0),
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
    }


async def _exchange(scope: dict, body: bytes) -> HttpResponse:
    """What the edge replies to one request."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    await _edge(scope, receive, send)
    start, *parts = sent
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    content = b"".join(part["body"] for part in parts)
    response = HttpResponse(content, status=start["status"], headers=headers)
    if not any(name.lower() == "content-type" for name in headers):
        del response["Content-Type"]  # Django's default, which was not sent
    return response


class ApiClient(Client):
    """`client.post(path, {...})` sends JSON; a wrong status shows the reply's body."""

    def __init__(self, key: str = "", **kwargs) -> None:
        super().__init__(**kwargs)
        self.handler = _Handler(enforce_csrf_checks=False)
        self.key = key
        if key:
            self.defaults["HTTP_X_API_KEY"] = key

    @classmethod
    def of(cls, project: Project) -> "ApiClient":
        """A client with a new key of the project."""
        row, key = ApiKey.issue(project)
        client = cls(key)
        client.project, client.api_key_id = project, row.id
        return client

    def send(self, method: str, path: str, body=None, *, expect: int = 200, **extra):
        """The JSON of the reply, whose status must be `expect`."""
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        extra.setdefault("content_type", "application/json")
        response = self.generic(method, path, "" if body is None else data, **extra)
        assert response.status_code == expect, (response.status_code, response.content[:2000])
        return response.json() if response.content else None

    def read(self, path: str, query: dict | None = None, *, expect: int = 200, **extra):
        """The JSON of `GET path?query`, whose status must be `expect`."""
        response = self.get(path, query, **extra)
        assert response.status_code == expect, (response.status_code, response.content[:2000])
        return response.json()
