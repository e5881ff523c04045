"""A client of the management API."""

from collections.abc import Mapping
from typing import Any

import requests

_SECONDS = (10, 60)  # to connect, and between two parts of an answer
_MAX_SHOWN = 2_000  # characters of a body that is not our JSON


class Refused(Exception):
    """The server refused, with its reason, or could not be reached."""


class ManagementClient:
    """Calls the routes below `/manage` of the server at `base_url`."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the JSON of the reply, None for an empty one. Raises Refused."""
        response = self._send(method, f"{self._base_url}/manage/{path}", json=body, params=query)
        return response.json() if response.content else None

    def all(self, path: str, query: Mapping[str, Any]) -> list[Any]:
        """Return the rows of all pages of a list. Raises Refused."""
        rows, known = [], 0
        while True:
            page = self.call("GET", path, query={**query, "offset": known})
            rows += page
            known = len(rows)
            if not page or "next" not in self._links:
                return rows

    def _send(self, method: str, url: str, **arguments: Any) -> requests.Response:
        response = send(self._session, method, url, **arguments)
        self._links = response.links
        return response


def send(session: requests.Session, method: str, url: str, **arguments: Any) -> requests.Response:
    """Return a reply of 2xx. Raises Refused with the reason that any other reply states."""
    try:
        response = session.request(
            method, url, timeout=_SECONDS, allow_redirects=False, **arguments
        )
    except (requests.RequestException, UnicodeError) as error:
        raise Refused(f"{url.partition('?')[0]} cannot be reached: {_reason(error)}") from None
    if not 200 <= response.status_code < 300:
        raise Refused(f"{response.status_code} {response.reason}: {_text(response)}")
    return response


def _reason(error: Exception) -> str:
    """Return the innermost reason, without the objects that requests names."""
    inner = getattr(error.args[0] if error.args else None, "reason", None)
    return str(inner or error).rpartition(": ")[2] or type(error).__name__


def _text(response: requests.Response) -> str:
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return response.text[:_MAX_SHOWN].strip()
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)
