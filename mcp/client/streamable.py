"""Streamable HTTP: every message is a POST, answered by JSON or by a stream of events."""

import time
from contextlib import suppress
from dataclasses import dataclass

import orjson
import requests

from core import egress
from core.egress.deadlines import remaining
from mcp.client import wire
from mcp.client.errors import HttpError, McpError, ProtocolViolation, TimedOut
from mcp.client.events import Event, events
from mcp.client.http import MAX_BYTES, Http
from mcp.client.notices import COURTESY_SECONDS, in_background

_BOTH = "application/json, text/event-stream"
_MOST_RESUMPTIONS = 5
_DRAIN_SECONDS = 0.05  # for the end of a stream after its answer, to keep the connection


class SessionGone(McpError):
    """The server does not know our session any more; the request was not served."""

    kind = "protocol"


@dataclass(slots=True)
class _Place:
    """How far a stream was read, and how long to wait before it is resumed."""

    id: str = ""
    seconds: float = 1.0

    def note(self, event: Event) -> None:
        self.id = event.id or self.id
        if event.retry is not None:
            self.seconds = event.retry / 1000


class Streamable:
    """A server at an address. Threads share it; `session_id` is the server's, if it gave one."""

    is_alive = True

    def __init__(self, http: Http) -> None:
        self._http = http
        self.session_id = ""

    def request(self, message: dict, headers: dict[str, str], *, patience: float) -> dict:
        """The response to a request.

        Raises McpError: HttpError for a status without a JSON-RPC message, SessionGone.
        """
        knew_session = bool(self.session_id)
        try:
            with self._post(message, headers, patience) as response:
                if response.status_code >= 400:
                    return _refusal(response, knew_session)
                if message["method"] == "initialize":
                    self.session_id = response.headers.get("Mcp-Session-Id", "")
                match response.status_code, _content_type(response):
                    case 200, "application/json":
                        answer = wire.parse(egress.read(response, limit=MAX_BYTES))
                        if answer.get("id") not in (message["id"], None):
                            raise ProtocolViolation("The MCP server answered another request")
                        return answer
                    case 200, "text/event-stream":
                        return self._from_stream(response, message["id"], headers, patience)
                raise HttpError(response.status_code)
        except TimedOut:
            self._cancel(message, headers)
            raise

    def notify(self, message: dict, headers: dict[str, str]) -> None:
        """Send a message that has no answer."""
        with self._post(message, headers, COURTESY_SECONDS) as response:
            egress.read(response, limit=MAX_BYTES)

    def close(self, headers: dict[str, str]) -> None:
        """Tell the server that its session can go, and let go of the connections."""
        if self.session_id:
            headers = {**headers, "Mcp-Session-Id": self.session_id}
            with (
                suppress(McpError),
                egress.time_limit(COURTESY_SECONDS),
                self._http.send("DELETE", headers=headers, patience=COURTESY_SECONDS),
            ):
                pass
        self._http.close()

    def _post(self, message: dict, headers: dict[str, str], patience: float):
        own = {"Accept": _BOTH, "Content-Type": "application/json"}
        if self.session_id and message.get("method") != "initialize":
            own["Mcp-Session-Id"] = self.session_id
        body = orjson.dumps(message)
        return self._http.send("POST", body, headers={**own, **headers}, patience=patience)

    def _from_stream(self, response, id: int, headers: dict[str, str], patience: float) -> dict:
        place = _Place()
        answer = self._answer_in(response, id, headers, place)
        for _ in range(_MOST_RESUMPTIONS):
            if answer or not place.id:
                break
            time.sleep(remaining(place.seconds))
            own = {"Accept": "text/event-stream", "Last-Event-ID": place.id}
            if self.session_id:
                own["Mcp-Session-Id"] = self.session_id
            with self._http.send("GET", headers={**own, **headers}, patience=patience) as resumed:
                if resumed.status_code != 200:
                    raise HttpError(resumed.status_code)
                answer = self._answer_in(resumed, id, headers, place)
        if not answer:
            raise ProtocolViolation("The MCP server's stream ended without an answer")
        return answer

    def _answer_in(self, response, id: int, headers: dict, place: _Place) -> dict | None:
        """The response in a stream; None if it ends or breaks off before."""
        try:
            for event in events(egress.pieces(response, limit=MAX_BYTES), limit=MAX_BYTES):
                place.note(event)
                if event.type != "message" or not event.data:
                    continue
                message = wire.parse(event.data)
                if wire.is_response(message):
                    if message.get("id") in (id, None):
                        _drain(response)
                        return message
                elif (reply := wire.reply_to(message)) is not None:
                    in_background(lambda reply=reply: self.notify(reply, headers))
        except requests.ConnectionError:
            pass
        return None

    def _cancel(self, message: dict, headers: dict[str, str]) -> None:
        """Spare the server the work. Later revisions take the closed connection for the signal."""
        if headers.get("MCP-Protocol-Version") in wire.HANDSHAKE_VERSIONS:
            params = {"requestId": message["id"], "reason": "no answer in time"}
            notice = wire.notification("notifications/cancelled", params)
            in_background(lambda: self.notify(notice, headers))


def _refusal(response: requests.Response, knew_session: bool) -> dict:
    """The JSON-RPC error in an answer of status 400 and more. Raises SessionGone, HttpError."""
    answer = {}
    if _content_type(response) == "application/json":
        with suppress(ProtocolViolation):
            answer = wire.parse(egress.read(response, limit=MAX_BYTES))
    # An error about our message has its id; one about the session has none.
    if response.status_code == 404 and knew_session and answer.get("id") is None:
        raise SessionGone("The MCP server has forgotten the session")
    if isinstance(answer.get("error"), dict):
        return answer
    raise HttpError(response.status_code)


def _content_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _drain(response: requests.Response) -> None:
    with suppress(requests.RequestException), egress.time_limit(_DRAIN_SECONDS):
        egress.read(response, limit=MAX_BYTES)
