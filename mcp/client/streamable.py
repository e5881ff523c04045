"""Streamable HTTP: each message is a POST, answered by JSON or by an event stream."""

import time
from contextlib import suppress
from dataclasses import dataclass

import requests

from core import egress, media
from core.egress.deadlines import remaining
from mcp.client import protocol
from mcp.client.event_stream import Event, read_events
from mcp.client.http_transport import MAX_BYTES, HttpTransport
from mcp.client.mcp_errors import HttpError, McpError, ProtocolViolation, TimedOut
from mcp.client.notifications import NOTIFY_TIMEOUT_SECONDS, send_in_background

_BOTH = "application/json, text/event-stream"
_MAX_RESUMPTIONS = 5
_DRAIN_SECONDS = 0.05  # to read the end of a stream, so that the connection can be reused


class SessionLost(McpError):
    """The server has lost our session; the request was not served."""

    kind = "protocol"


@dataclass(slots=True)
class _Position:
    """How far a stream was read, and how many seconds to wait before resuming it."""

    id: str = ""
    seconds: float = 1.0

    def note(self, event: Event) -> None:
        self.id = event.id or self.id
        if event.retry is not None:
            self.seconds = event.retry / 1000


class Streamable:
    """A server at a URL. Thread-safe; `session_id` is empty if the server assigned none."""

    is_alive = True

    def __init__(self, http: HttpTransport) -> None:
        self._http = http
        self.session_id = ""

    def request(self, message: dict, headers: dict[str, str], *, timeout: float) -> dict:
        """Send a request and return its response.

        Raise McpError: HttpError for a status without a JSON-RPC message, SessionLost.
        """
        knew_session = bool(self.session_id)
        try:
            with self._post(message, headers, timeout) as response:
                if response.status_code >= 400:
                    return _refusal(response, knew_session)
                if message["method"] == "initialize":
                    self.session_id = response.headers.get("Mcp-Session-Id", "")
                match response.status_code, _content_type(response):
                    case 200, "application/json":
                        answer = protocol.parse(egress.read(response, limit=MAX_BYTES))
                        if answer.get("id") not in (message["id"], None):
                            raise ProtocolViolation("The MCP server answered another request")
                        return answer
                    case 200, "text/event-stream":
                        return self._from_stream(response, message["id"], headers, timeout)
                raise HttpError(response.status_code)
        except TimedOut:
            self._cancel(message, headers)
            raise

    def notify(self, message: dict, headers: dict[str, str]) -> None:
        """Send a notification."""
        with self._post(message, headers, NOTIFY_TIMEOUT_SECONDS) as response:
            egress.read(response, limit=MAX_BYTES)

    def close(self, headers: dict[str, str]) -> None:
        """End the session on the server, and close the connections."""
        if self.session_id:
            headers = {**headers, "Mcp-Session-Id": self.session_id}
            with (
                suppress(McpError),
                egress.time_limit(NOTIFY_TIMEOUT_SECONDS),
                self._http.send("DELETE", headers=headers, timeout=NOTIFY_TIMEOUT_SECONDS),
            ):
                pass
        self._http.close()

    def _post(self, message: dict, headers: dict[str, str], timeout: float):
        own = {"Accept": _BOTH, "Content-Type": "application/json"}
        if self.session_id and message.get("method") != "initialize":
            own["Mcp-Session-Id"] = self.session_id
        body = media.dumps(message)
        return self._http.send("POST", body, headers={**own, **headers}, timeout=timeout)

    def _from_stream(self, response, id: int, headers: dict[str, str], timeout: float) -> dict:
        position = _Position()
        answer = self._answer_in(response, id, headers, position)
        for _ in range(_MAX_RESUMPTIONS):
            if answer or not position.id:
                break
            time.sleep(remaining(position.seconds))
            own = {"Accept": "text/event-stream", "Last-Event-ID": position.id}
            if self.session_id:
                own["Mcp-Session-Id"] = self.session_id
            with self._http.send("GET", headers={**own, **headers}, timeout=timeout) as resumed:
                if resumed.status_code != 200:
                    raise HttpError(resumed.status_code)
                answer = self._answer_in(resumed, id, headers, position)
        if not answer:
            raise ProtocolViolation("The MCP server's stream ended without an answer")
        return answer

    def _answer_in(self, response, id: int, headers: dict, position: _Position) -> dict | None:
        """Return the response in a stream, or None if the stream ends before it."""
        try:
            for event in read_events(egress.pieces(response, limit=MAX_BYTES), limit=MAX_BYTES):
                position.note(event)
                if event.type != "message" or not event.data:
                    continue
                message = protocol.parse(event.data)
                if protocol.is_response(message):
                    if message.get("id") in (id, None):
                        _drain(response)
                        return message
                elif (reply := protocol.reply_to(message)) is not None:
                    send_in_background(lambda reply=reply: self.notify(reply, headers))
        except requests.ConnectionError:
            pass
        return None

    def _cancel(self, message: dict, headers: dict[str, str]) -> None:
        """Cancel the request; in stateless revisions the closed connection does that."""
        if headers.get("MCP-Protocol-Version") in protocol.HANDSHAKE_VERSIONS:
            params = {"requestId": message["id"], "reason": "no answer in time"}
            notice = protocol.notification("notifications/cancelled", params)
            send_in_background(lambda: self.notify(notice, headers))


def _refusal(response: requests.Response, knew_session: bool) -> dict:
    """Return the JSON-RPC error in a response of status 400 or more, else raise."""
    answer = {}
    if _content_type(response) == "application/json":
        with suppress(ProtocolViolation):
            answer = protocol.parse(egress.read(response, limit=MAX_BYTES))
    # An error about our message has its id, one about the session has none.
    if response.status_code == 404 and knew_session and answer.get("id") is None:
        raise SessionLost("The MCP server has forgotten the session")
    if isinstance(answer.get("error"), dict):
        return answer
    raise HttpError(response.status_code)


def _content_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _drain(response: requests.Response) -> None:
    with suppress(requests.RequestException), egress.time_limit(_DRAIN_SECONDS):
        egress.read(response, limit=MAX_BYTES)
