"""HTTP requests to one MCP server, with its credentials."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

import requests

from core import egress
from mcp.client.auth_headers import Credentials
from mcp.client.mcp_errors import ProtocolViolation, Refused, Unauthorized, translated
from mcp.server_urls import origin

MAX_BYTES = 8 * 2**20  # of one answer
_MAX_REDIRECTS = 3
_METHOD_PRESERVING = (307, 308)


class HttpTransport:
    """Send requests to one server. Thread-safe. Raises McpErrors, but never HttpError."""

    def __init__(self, url: str, credentials: Credentials, *, pool_size: int) -> None:
        self.url = url
        self._credentials = credentials
        self._session = egress.session(pool_size=pool_size)
        # A compressed answer may expand a thousandfold.
        self._session.headers["Accept-Encoding"] = "identity"

    @contextmanager
    def send(
        self,
        method: str,
        body: bytes | None = None,
        *,
        url: str = "",
        headers: dict[str, str],
        timeout: float,
    ) -> Iterator[requests.Response]:
        """Yield the streamed response, whatever its status. `timeout` bounds each wait."""
        with translated():
            own = self._credentials.headers()
            response = self._send(method, url or self.url, body, headers | own, timeout)
            if response.status_code == 401 and self._credentials.renew(own):
                response.close()
                own = self._credentials.headers()
                response = self._send(method, url or self.url, body, headers | own, timeout)
            if response.status_code in (401, 403):
                response.close()
                status = response.status_code
                raise Unauthorized(
                    f"The MCP server does not accept the credentials (status {status})"
                )
            with response:
                yield response

    def resolve_own(self, text: str, *, base: str) -> str:
        """Resolve a URL that the server names. Raises McpError unless it is of its own origin."""
        try:
            url = urljoin(base, text)
            is_own = origin(url) == origin(self.url)
        except ValueError as error:
            raise ProtocolViolation("The MCP server names an invalid address") from error
        # Credentials and messages must not reach another server.
        if not is_own:
            raise Refused("The MCP server redirects to another server")
        return url

    def close(self) -> None:
        self._session.close()

    def _send(self, method, url, body, headers, timeout) -> requests.Response:
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=(min(egress.CONNECT_SECONDS, timeout), timeout),
                allow_redirects=False,
                stream=True,
            )
            if not response.is_redirect:
                return response
            response.close()
            target = self.resolve_own(response.headers["Location"], base=url)
            if method != "GET" and response.status_code not in _METHOD_PRESERVING:
                break
            url = target
        raise ProtocolViolation("The MCP server redirects instead of answering")
