"""The server's own replies, to requests that cannot be read or whose application fails."""

from structlog.contextvars import get_contextvars

from core import json_writer, request_ids
from core.asgi import Headers, Scope
from core.reply_headers import common_headers
from llmring_site.http_server.response_head import RawHeaders


def own_reply(scope: Scope | None, detail: str) -> tuple[RawHeaders, bytes]:
    """Return headers and body of an error; `scope` is None if no request was read.

    It has the headers of every reply (docs/http-contract.md), and the request id of the logs.
    """
    scope = scope or {"method": "GET", "scheme": "http", "headers": ()}
    body = json_writer.dumps({"detail": detail})
    sent = Headers(scope["headers"])
    id = get_contextvars().get("request_id") or request_ids.choose(sent.get("X-Request-ID"))
    common = common_headers(
        method=scope["method"],
        origin=sent.get("Origin"),
        scheme=scope["scheme"],
        proto=sent.get("X-Forwarded-Proto"),
    )
    own = [
        (b"x-request-id", id.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"content-type", b"application/json"),
    ]
    return own + common, body
