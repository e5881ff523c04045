"""Streamable HTTP: each message is a POST, answered by JSON or by an event stream."""

import time
from contextlib import suppress
from dataclasses import dataclass

import requests

from core import egress, json_writer
from core.egress.deadlines import remaining
from mcp.client import protocol
from mcp.client.event_stream import Event, read_events
from mcp.client.http_transport import MAX_BYTES, HttpTransport
from mcp.client.mcp_errors import (
    HttpError,
    McpError,
    ProtocolViolation,
    Rejected,
    ServerFault,
    TimedOut,
)
from mcp.client.notifications import (
    NOTIFY_TIMEOUT_SECONDS,
    Listener,
    ignore,
    send_in_background,
)
from mcp.client.standalone_stream import StandaloneStream

_BOTH = "application/json, text/event-stream"
_MIN_RETRY_SECONDS = 0.1  # before a stream is resumed, whatever the server says
_DRAIN_SECONDS = 0.05  # to read the end of a stream, so that the connection can be reused
_SESSION_STATUSES = (404, 410)


@dataclass(slots=True)
class _Exchange:
    """A request under way, and how far the stream of its answer was read."""

    id: int
    headers: dict[str, str]
    timeout: float
    on_progress: Listener
    last_event_id: str = ""
    retry_seconds: float = 1.0
    loss: requests.ConnectionError | None = None  # of the connection that was read last

    def note(self, event: Event) -> None:
        self.last_event_id = event.id or self.last_event_id
        if event.retry is not None:
            self.retry_seconds = event.retry / 1000

    def is_answered_by(self, response: dict) -> bool:
        id = response.get("id")
        return id is None or protocol.request_id(id) == self.id


class Streamable:
    """A server at a URL. Thread-safe; `session_id` is empty if the server assigned none."""

    is_alive = True
    on_notification: Listener = staticmethod(ignore)

    def __init__(self, http: HttpTransport) -> None:
        self._http = http
        self.session_id = ""
        self._stream: StandaloneStream | None = None
        self._exchanges: dict[int, _Exchange] = {}  # under way, by id

    def request(
        self,
        message: dict,
        headers: dict[str, str],
        *,
        timeout: float,
        on_progress: Listener = ignore,
    ) -> dict:
        """Send a request and return its response.

        Raises McpError: HttpError for a status without a JSON-RPC message, Rejected.
        """
        exchange = _Exchange(message["id"], headers, timeout, on_progress)
        self._exchanges[exchange.id] = exchange
        try:
            with self._post(message, headers, timeout) as response:
                if response.status_code >= 400:
                    return self._refusal(response, message)
                if message["method"] == "initialize":
                    self.session_id = response.headers.get("Mcp-Session-Id", "")
                content_type = _content_type(response)
                match response.status_code, content_type:
                    case 200, "application/json":
                        return self._answer(response, message)
                    case 200, "text/event-stream":
                        return self._from_stream(response, exchange)
                raise HttpError(response.status_code, content_type)
        except TimedOut as error:
            self._cancel(message, headers, error)
            raise
        finally:
            del self._exchanges[exchange.id]

    def notify(self, message: dict, headers: dict[str, str]) -> None:
        """Send a notification."""
        with self._post(message, headers, NOTIFY_TIMEOUT_SECONDS) as response:
            egress.read(response, limit=MAX_BYTES)

    def listen(self, headers: dict[str, str]) -> None:
        """Receive what the server sends in its session between the answers to requests."""
        if self.session_id:
            own = {**headers, "Mcp-Session-Id": self.session_id}
            self._stream = StandaloneStream(
                self._http, own, lambda text: self._received(text, headers)
            )
            self._stream.wait_until_open()

    def stop_listening(self) -> None:
        """Close the stream of notifications; running requests go on."""
        if self._stream is not None:
            self._stream.close()

    def close(self, headers: dict[str, str]) -> None:
        """End the session on the server, and close the connections."""
        self.stop_listening()
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
        body = json_writer.dumps(message)
        return self._http.send("POST", body, headers={**own, **headers}, timeout=timeout)

    def _answer(self, response: requests.Response, message: dict) -> dict:
        messages = protocol.parse_batch(egress.read(response, limit=MAX_BYTES))
        own = (each for each in messages if protocol.request_id(each.get("id")) == message["id"])
        answer = next(own, messages[0])
        if answer.get("id") is None or protocol.request_id(answer["id"]) == message["id"]:
            return answer
        if isinstance(answer.get("error"), dict) and message["method"] not in protocol.NEGOTIATION:
            raise Rejected(protocol.error_of(answer["error"]))
        raise ProtocolViolation("The MCP server answered another request")

    def _refusal(self, response: requests.Response, message: dict) -> dict:
        """Return the JSON-RPC error in a response of status 400 or more, else raise."""
        status, answer = response.status_code, {}
        if _content_type(response) == "application/json":
            with suppress(ProtocolViolation):
                answer = protocol.parse(egress.read(response, limit=MAX_BYTES))
        has_error = isinstance(answer.get("error"), dict)
        failure = HttpError(status)
        # An error about our message has its id. One about the session has none, or a made-up
        # one; some servers answer both with our id and a status that means the session.
        is_ours = has_error and protocol.request_id(answer.get("id")) == message["id"]
        is_about_session = bool(self.session_id) and status in _SESSION_STATUSES
        is_negotiation = message["method"] in protocol.NEGOTIATION
        if failure.is_rejection and not is_negotiation and (is_about_session or not is_ours):
            raise Rejected(protocol.error_of(answer["error"]) if has_error else failure)
        if has_error and status >= 500 and not is_ours and not is_negotiation:
            raise protocol.error_of(answer["error"], ServerFault)
        if has_error:
            return answer
        raise failure

    def _from_stream(self, response: requests.Response, exchange: _Exchange) -> dict:
        answer = self._answer_in(response, exchange)
        # As long as the call may take: servers may end streams for the client to ask again.
        while not answer and exchange.last_event_id:
            time.sleep(remaining(max(exchange.retry_seconds, _MIN_RETRY_SECONDS)))
            own = {"Accept": "text/event-stream", "Last-Event-ID": exchange.last_event_id}
            if self.session_id:
                own["Mcp-Session-Id"] = self.session_id
            headers = {**own, **exchange.headers}
            with self._http.send("GET", headers=headers, timeout=exchange.timeout) as resumed:
                if resumed.status_code != 200:
                    raise exchange.loss or HttpError(resumed.status_code)
                answer = self._answer_in(resumed, exchange)
        if not answer:
            raise exchange.loss or ProtocolViolation(
                "The MCP server's stream ended without an answer"
            )
        return answer

    def _answer_in(self, response: requests.Response, exchange: _Exchange) -> dict | None:
        """Return the response in a stream, or None if the stream ends before it."""
        exchange.loss = None
        try:
            for event in read_events(egress.pieces(response, limit=MAX_BYTES), limit=MAX_BYTES):
                exchange.note(event)
                if event.type == "endpoint":  # HTTP+SSE, by a server that takes any method
                    raise HttpError(405)
                if event.type != "message" or not event.data:
                    continue
                answer = self._received(event.data, exchange.headers, exchange)
                if answer is not None:
                    _drain(response)
                    return answer
        except requests.ConnectionError as error:
            exchange.loss = error
        return None

    def _received(
        self, text: bytes, headers: dict[str, str], exchange: _Exchange | None = None
    ) -> dict | None:
        """Dispatch what the server sends; return the response. Ignore what is no message."""
        try:
            messages = protocol.parse_batch(text)
        except ProtocolViolation as error:
            if exchange is not None and error.request_id == exchange.id:
                raise
            return None
        answers = [self._dispatch(message, headers, exchange) for message in messages]
        return next(filter(None, answers), None)

    def _dispatch(
        self, message: dict, headers: dict[str, str], exchange: _Exchange | None
    ) -> dict | None:
        """Return the message if it is the response; else do what it asks for."""
        if protocol.is_response(message):
            return message if exchange is not None and exchange.is_answered_by(message) else None
        if (reply := protocol.reply_to(message)) is not None:
            send_in_background(lambda: self.notify(reply, headers))
        elif message.get("method") == protocol.PROGRESS:
            # Some SDKs send it on the stream of the session.
            exchange = self._exchanges.get(protocol.progress_id(message), exchange)
            if exchange is not None:
                exchange.on_progress(message)
        else:
            self.on_notification(message)
        return None

    def _cancel(self, message: dict, headers: dict[str, str], error: TimedOut) -> None:
        """Cancel the request; in stateless revisions the closed connection does that."""
        if headers.get("MCP-Protocol-Version") in protocol.HANDSHAKE_VERSIONS:
            notice = protocol.cancellation(message["id"], str(error))
            send_in_background(lambda: self.notify(notice, headers))


def _content_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _drain(response: requests.Response) -> None:
    with suppress(requests.RequestException), egress.time_limit(_DRAIN_SECONDS):
        egress.read(response, limit=MAX_BYTES)
