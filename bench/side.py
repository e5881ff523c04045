"""One server under measurement, and calls of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import requests

from bench.postgres import Postgres
from bench.request import Request


class NotServed(Exception):
    """The server has no such route (404 or 405)."""


class Refused(Exception):
    """The server's answer cannot be measured. The message shows it."""


@dataclass(frozen=True)
class Side:
    """A running server with its own PostgreSQL.

    `store` adds past usage rows to its ledger, by whatever way that server offers.
    """

    name: str
    url: str
    pid: int
    postgres: Postgres
    store: Callable[["Side", Iterable[dict]], None]

    def call(self, request: Request) -> object:
        """Return the decoded answer to one request. Raises NotServed and Refused."""
        answer = requests.request(
            request.method,
            self.url + request.path,
            data=request.body,
            headers={"X-API-Key": request.api_key, "Content-Type": "application/json"},
            timeout=60,
        )
        shown = f"{request.method} {request.path}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code in (404, 405):
            raise NotServed(shown)
        if answer.status_code >= 300:
            raise Refused(shown)
        return answer.json()
