"""Answers the hottest routes before Django's request machinery.

A request through Django's middleware and DRF's dispatch costs several times
what logging a call costs itself. The few routes listed in `ROUTES` are tried
here first: a function of the WSGI environ that answers the common case, or
returns None. Then (and for requests of browsers, which need CORS) the request
takes the ordinary way, as if nothing had happened.

A fast function may return None only before it has changed anything.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from io import BytesIO

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

from core import media, request_ids
from core.errors import DATABASE_AWAY, DatabaseUnavailable, DomainError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Answer:
    """A finished reply: JSON bytes, and headers beyond the common ones."""

    body: bytes
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)


EdgeView = Callable[[dict], Answer | None]

_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_COMMON = [
    ("Content-Type", "application/json"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", settings.X_FRAME_OPTIONS),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]


def body_of(environ: dict) -> bytes | None:
    """The request's body, left readable for the ordinary way; None when it is over the limit."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > settings.MAX_BODY_BYTES:
        return None
    body = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = BytesIO(body)
    return body


@contextmanager
def borrowed_connection() -> Iterator[None]:
    """Gives Django's database connection back afterwards, as the end of a request does."""
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            connection.close()


class Edge:
    """Mixed into a handler: `answer(environ)` before everything else."""

    def __init__(
        self,
        *args,
        routes: dict[tuple[str, str], EdgeView],
        patterns: list[tuple[str, re.Pattern, EdgeView]],
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        # HSTS is Django's to add; behind TLS the routes' security headers are the same otherwise.
        self._routes = routes
        self._patterns = patterns

    def answer(self, environ: dict) -> tuple[str, list[tuple[str, str]], bytes] | None:
        """Status line, headers and body, or None for the ordinary way."""
        view = self._view(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if view is None or "HTTP_ORIGIN" in environ:
            return None
        request_id = request_ids.choose(environ.get("HTTP_X_REQUEST_ID"))
        try:
            answer = view(environ)
        except DomainError as error:
            answer = _failure(error)
        except DATABASE_AWAY as error:
            logger.error(
                "database unavailable: %s", type(error).__name__, extra={"request_id": request_id}
            )
            answer = _failure(DatabaseUnavailable())
        except Exception:
            logger.exception("%s failed", environ["PATH_INFO"], extra={"request_id": request_id})
            answer = Answer(media.dumps({"detail": "Internal Server Error"}), 500)
        if answer is None:
            return None
        headers = [
            *_COMMON,
            ("Content-Length", str(len(answer.body))),
            ("X-Request-ID", request_id),
            *answer.headers,
        ]
        return _REASONS[answer.status], headers, answer.body

    def _view(self, method: str, path: str) -> EdgeView | None:
        if view := self._routes.get((method, path)):
            return view
        for own_method, pattern, view in self._patterns:
            if method == own_method and (found := pattern.fullmatch(path)):
                return partial(_with_id, view, found[1])
        return None


def _with_id(view: Callable, id: str, environ: dict) -> Answer | None:
    return view(environ, id)


def _failure(error: DomainError) -> Answer:
    return Answer(
        media.dumps({"detail": error.detail}), error.status_code, [*error.headers.items()]
    )


class EdgeHandler(Edge, WSGIHandler):
    """Django's WSGI application with the fast lane before it."""

    def __call__(self, environ, start_response):
        found = None
        if not settings.ACCESS_LOG:  # its lines are written on the ordinary way
            found = self.answer(environ)
        if found is None:
            return self._ordinary(environ, start_response)
        status, headers, body = found
        start_response(status, headers)
        return [body]

    def _ordinary(self, environ, start_response):
        response = super().__call__(environ, start_response)
        if getattr(response, "streaming", True):
            return response
        # A list tells the server the length; an iterator would be sent in chunks.
        body = [response.content]
        response.close()
        return body
