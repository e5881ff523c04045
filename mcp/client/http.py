"""HTTP to one MCP server: its address, its credentials, its time."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

import requests

from core import egress
from mcp.client.auth import Credentials
from mcp.client.errors import ProtocolViolation, Refused, translated
from mcp.targets import origin

MAX_BYTES = 8 * 2**20  # of one answer
_MOST_REDIRECTS = 3
_KEEPING_METHOD = (307, 308)


class Http:
    """Calls one server; threads share it. Raises McpErrors, HttpError not among them."""

    def __init__(self, url: str, credentials: Credentials, *, pool_size: int) -> None:
        self.url = url
        self._credentials = credentials
        self._session = egress.session(pool_size=pool_size)
        # What comes compressed may be a thousand times as long.
        self._session.headers["Accept-Encoding"] = "identity"

    @contextmanager
    def send(
        self,
        method: str,
        body: bytes | None = None,
        *,
        url: str = "",
        headers: dict[str, str],
        patience: float,
    ) -> Iterator[requests.Response]:
        """The streamed response, whatever its status; `patience` is the most one wait may take."""
        with translated():
            response = self._send(method, url or self.url, body, headers, patience)
            if response.status_code == 401 and self._credentials.renew():
                response.close()
                response = self._send(method, url or self.url, body, headers, patience)
            if response.status_code in (401, 403):
                response.close()
                status = response.status_code
                raise Refused(f"The MCP server does not accept the credentials (status {status})")
            with response:
                yield response

    def own_address(self, text: str, *, base: str) -> str:
        """The address that the server names, which must be one of its own. Raises McpError."""
        try:
            found = urljoin(base, text)
            is_own = origin(found) == origin(self.url)
        except ValueError as error:
            raise ProtocolViolation("The MCP server names an address that is none") from error
        # Credentials and messages are for this server, and are not carried to another.
        if not is_own:
            raise Refused("The MCP server redirects to another server")
        return found

    def close(self) -> None:
        self._session.close()

    def _send(self, method, url, body, headers, patience) -> requests.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._session.request(
                method,
                url,
                data=body,
                headers={**headers, **self._credentials.headers()},
                timeout=(min(egress.CONNECT_SECONDS, patience), patience),
                allow_redirects=False,
                stream=True,
            )
            if not response.is_redirect:
                return response
            response.close()
            target = self.own_address(response.headers["Location"], base=url)
            if method != "GET" and response.status_code not in _KEEPING_METHOD:
                break
            url = target
        raise ProtocolViolation("The MCP server redirects instead of answering")
