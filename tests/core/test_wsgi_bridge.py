"""Requests on their way through the bridge to Django's views."""

import asyncio
import json

import pytest
from django.core.handlers.wsgi import WSGIHandler

from core.wsgi_bridge import WSGIBridge

bridge = WSGIBridge(WSGIHandler())


def get(path: str, **headers: str) -> tuple[int, dict]:
    """Return status and JSON of the reply to a GET."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in headers.items()
        ],
    }
    asyncio.run(bridge(scope, receive, send))
    start, body = sent
    return start["status"], json.loads(body["body"])


@pytest.mark.parametrize(
    ("length", "status", "detail"),
    [
        ("0", 200, None),
        ("\u00b2", 400, "Content-Length must be a number of bytes"),
        ("-1", 400, "Content-Length must be a number of bytes"),
        ("9" * 5_000, 413, "The body is larger than 10485760 bytes"),
    ],
    ids=["zero", "superscript", "negative", "5,000 digits"],
)
def test_length_of_a_body_is_refused_as_on_the_edge(db, length, status, detail):
    """Servers that applications are mounted in may hand on what ours refuses."""
    assert get("/live", content_length=length) == (
        status,
        {"detail": detail} if detail else {"status": "alive"},
    )
