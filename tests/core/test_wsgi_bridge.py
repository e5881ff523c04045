"""Requests on their way through the bridge to Django's views."""

import asyncio
import json

import pytest
from django.core.handlers.wsgi import WSGIHandler

from core.wsgi_bridge import WSGIBridge
from tests.site.test_dashboard import boss
from tests.usage.calls import CALL

__all__ = ["boss"]

bridge = WSGIBridge(WSGIHandler())
GONE = {"type": "http.disconnect"}


def ask(path: str, *headers: tuple[str, str], method: str = "GET", chunks=()) -> list[dict]:
    """What is sent in reply; `chunks` are the body as it arrives, or GONE."""
    sent: list[dict] = []
    more = [len(chunks) - number > 1 for number in range(len(chunks))]
    incoming = [
        chunk if chunk is GONE else {"type": "http.request", "body": chunk, "more_body": follows}
        for chunk, follows in zip(chunks, more, strict=True)
    ]

    async def receive() -> dict:
        if incoming:
            return incoming.pop(0)
        await asyncio.Event().wait()

    async def send(message: dict) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    asyncio.run(bridge(scope, receive, send))
    return sent


def json_of(sent: list[dict]) -> tuple[int, dict]:
    """Status and JSON of a reply."""
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
    assert json_of(ask("/live", ("Content-Length", length))) == (
        status,
        {"detail": detail} if detail else {"status": "alive"},
    )


BATCH = json.dumps({"logs": [CALL, CALL]}).encode()
CHUNKED = ("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")


def test_chunked_bodies_are_read_by_views(transactional_db, api, settings):
    def log(*chunks) -> list[dict]:
        key = ("X-API-Key", api.key)
        return ask("/api/v1/log/batch", key, *CHUNKED, method="POST", chunks=chunks)

    assert json_of(log(BATCH[:9], b"", BATCH[9:]))[0] == 200
    assert len(api.read("/api/v1/logs")) == 2
    assert log(BATCH[:9], GONE) == []
    settings.MAX_BODY_BYTES = len(BATCH)
    assert json_of(log(BATCH, b" ", GONE))[0] == 413  # what follows is not read
    assert len(api.read("/api/v1/logs")) == 2


def test_underscores_in_names_of_headers_are_no_hyphens(transactional_db, api):
    """A proxy that removes or sets a header may not know its other spelling."""
    for name, status in (("X-API-Key", 200), ("X_API_Key", 401)):
        assert ask("/api/v1/templates", (name, api.key))[0]["status"] == status


def test_a_header_may_be_in_several_lines(transactional_db, boss):
    """RFC 9110, section 5.3; cookies of HTTP/2 are: RFC 9113, section 8.2.3."""
    session = boss.cookies["sessionid"].OutputString(attrs=[])
    page = ask(
        "/admin/",
        *[("Cookie", "a=b"), ("Cookie", session), ("Cookie", "c=d")],
        *[("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")],
    )
    assert page[0]["status"] == 200
    assert (b"content-encoding", b"gzip") in page[0]["headers"]


def test_an_export_is_sent_in_pieces_for_as_long_as_it_is_wanted(transactional_db, api):
    for _ in range(3):
        api.send("POST", "/api/v1/log", CALL)
    path, key = "/api/v1/logs/export?format=ndjson", ("X-API-Key", api.key)
    start, *pieces = ask(path, key)
    assert start["status"] == 200
    assert [piece.get("more_body", False) for piece in pieces][-2:] == [True, False]
    rows = b"".join(piece["body"] for piece in pieces).splitlines()
    assert [json.loads(row)["model"] for row in rows] == [CALL["model"]] * 3
    assert ask(path, key, chunks=[GONE])[1:] == []
