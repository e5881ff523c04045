"""The test client: JSON in and out, through the production handler."""

import json
import os

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler

from accounts.models import ApiKey, Project
from core.fast_lane import Edge
from llmring_site import edge_routes
from tests import openapi


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


class _Handler(Edge, ClientHandler):
    def __call__(self, environ):
        response = self._respond(environ)
        if "RECORD" in os.environ:
            _record(environ, response)
        openapi.check(environ["REQUEST_METHOD"], environ["PATH_INFO"], response)
        return response

    def _respond(self, environ):
        found = self.answer(environ)
        if found is None:
            return super().__call__(environ)
        status, headers, body = found
        response = HttpResponse(body, status=int(status.split()[0]), headers=dict(headers))
        response.wsgi_request = WSGIRequest(environ)
        return response


class ApiClient(Client):
    """`client.post(path, {...})` sends JSON; a wrong status shows the reply's body."""

    def __init__(self, key: str = "", **kwargs) -> None:
        super().__init__(**kwargs)
        self.handler = _Handler(
            enforce_csrf_checks=False,
            routes=edge_routes.routes(),
            patterns=edge_routes.patterns(),
        )
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
