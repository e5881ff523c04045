"""The edge over a small table of routes: what reaches an endpoint, and what becomes of it."""

import asyncio
import gzip
import json
import threading
import zlib

import pytest
from django.http import Http404
from pydantic import Field

from core.edge import Edge, Route
from core.edge_replies import StreamingReply
from core.errors import DomainError
from core.schemas import Schema
from tests.zstd import zstd

pytestmark = pytest.mark.django_db(transaction=True)

ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


class Note(Schema):
    text: str = Field(max_length=2_000_000)


class Refused(DomainError):
    status_code = 409
    headers = {"Retry-After": "7"}


async def echo(caller, note):
    return {"caller": caller, "text": note.text}


def echo_in_thread(caller, id, note):
    return {"id": id, "text": note.text, "thread": threading.current_thread().name}


async def fail(caller):
    raise Refused("no")


async def miss(caller):
    raise Http404("Note not found")


async def crash(caller):
    raise ZeroDivisionError


async def leave(caller):
    return None


def paged(caller):
    return [1], {"X-Next-Cursor": "2", "Vary": "Accept"}


ROUTES = [
    Route("POST", "/notes", echo, body=Note),
    Route("POST", "/notes/{id}", echo_in_thread, body=Note),
    Route("GET", "/fail", fail),
    Route("GET", "/miss", miss),
    Route("GET", "/crash", crash),
    Route("GET", "/left", leave),
    Route("GET", "/paged", paged),
    Route("POST", "/once", echo, body=Note, unless="Idempotency-Key"),
]


async def admit(request):
    if request.headers["X-API-Key"] == "bad":
        raise Refused("bad key")
    return request.headers["X-API-Key"]


class Exchange:
    """One request to an edge; `chunks` is its body as it arrives."""

    def __init__(self, method, path, *chunks, gone=False, **headers) -> None:
        headers = {"x-api-key": "k", "host": "testserver"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if len(chunks) == 1 and "transfer-encoding" not in headers:
            headers.setdefault("content-length", str(len(chunks[0])))
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(n.encode(), v.encode()) for n, v in headers.items() if v is not None],
        }
        self._incoming = [
            {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
        ] or [{"type": "http.request"}]
        self._incoming[-1]["more_body"] = False
        if gone:
            self._incoming[-1] = {"type": "http.disconnect"}
        self.sent = []
        self.left = False

    async def receive(self):
        if self._incoming:
            return self._incoming.pop(0)
        await asyncio.Event().wait()

    async def send(self, message):
        self.sent.append(message)

    async def fallback(self, scope, receive, send):
        self.left = True

    def run(self, routes=ROUTES) -> "Exchange":
        edge = Edge(
            routes,
            can_admit=lambda headers: "X-API-Key" in headers,
            admit=admit,
            fallback=self.fallback,
        )
        asyncio.run(edge(self.scope, self.receive, self.send))
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self):
        return json.loads(b"".join(message["body"] for message in self.sent[1:]))


def text(value="hi", **more):
    return json.dumps({"text": value, **more}).encode()


@pytest.mark.parametrize("path", ["/notes", "/notes/"])
def test_endpoint_gets_caller_and_validated_body(path):
    reply = Exchange("POST", path, text()).run()
    assert (reply.status, reply.body) == (200, {"caller": "k", "text": "hi"})
    assert reply.headers["content-type"] == "application/json"


def test_sync_endpoint_runs_in_a_thread_of_the_pool():
    reply = Exchange("POST", f"/notes/{ID}", text()).run()
    assert reply.body["id"] == ID and reply.body["thread"].startswith("request")


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange("GET", "/notes"),
        Exchange("GET", "/elsewhere"),
        Exchange("POST", "/notes/not-an-id", text()),
        Exchange("POST", "/notes", text(), x_api_key=None),
        Exchange("POST", "/once", text(), idempotency_key="1"),
        Exchange("GET", "/left"),
    ],
)
def test_everything_else_is_left_to_django(exchange):
    assert exchange.run().left and not exchange.sent


@pytest.mark.parametrize(
    ("exchange", "status", "detail"),
    [
        (Exchange("GET", "/fail"), 409, "no"),
        (Exchange("GET", "/fail", x_api_key="bad"), 409, "bad key"),
        (Exchange("GET", "/miss"), 404, "Note not found"),
        (Exchange("GET", "/crash"), 500, "Internal Server Error"),
        (Exchange("POST", "/notes", b"\xff"), 400, "There was an error parsing the body"),
    ],
)
def test_errors_have_the_shape_of_all_errors(exchange, status, detail):
    reply = exchange.run()
    assert (reply.status, reply.body) == (status, {"detail": detail})
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "x-request-id" in reply.headers


def test_error_headers_are_sent():
    assert Exchange("GET", "/fail").run().headers["retry-after"] == "7"


@pytest.mark.parametrize("body", [b"{}", b'{"padding": "%b"}' % (b"x" * 100_000)])
def test_invalid_body_is_422_and_names_the_member(body):
    """A large one is read in a thread."""
    reply = Exchange("POST", "/notes", body).run()
    (entry,) = reply.body["detail"]
    assert reply.status == 422
    assert (entry["type"], entry["loc"]) == ("missing", ["body", "text"])


def test_headers_of_a_page_are_sent_and_vary_by_both():
    headers = Exchange("GET", "/paged").run().headers
    assert headers["x-next-cursor"] == "2"
    assert headers["vary"] == "Accept, origin"


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "identity": bytes,
    "gzip of two members": lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:]),
    "raw deflate": lambda body: zlib.compress(body, wbits=-15),
}


@pytest.mark.parametrize("name", CODINGS)
def test_compressed_bodies_are_read(name):
    coding = {"gzip of two members": "gzip", "raw deflate": "deflate"}.get(name, name)
    body = CODINGS[name](text("é" * 300))
    reply = Exchange("POST", "/notes", body, content_encoding=coding).run()
    assert reply.body["text"] == "é" * 300


def test_members_of_a_compressed_body_may_end_anywhere():
    """They are read in blocks of 64 KiB."""
    note = "".join(f"{number:x}" for number in range(50_000))
    body = text(note)
    for size in (1_000, 100_000):
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        packed = b"".join(gzip.compress(part, 0) for part in parts)
        reply = Exchange("POST", "/notes", packed, content_encoding="gzip").run()
        assert reply.body["text"] == note


@pytest.mark.parametrize("chunks", [[text()], [text()[:4], text()[4:]], [b"", text(), b""]])
def test_chunked_bodies_are_read(chunks):
    reply = Exchange("POST", "/notes", *chunks, transfer_encoding="chunked").run()
    assert reply.body["text"] == "hi"


BOMB = b"\0" * 50_000_000


@pytest.mark.parametrize(
    ("exchange", "status"),
    [
        (Exchange("POST", "/notes", text(), content_encoding="br"), 415),
        (Exchange("POST", "/notes", text(), content_encoding="gzip, gzip"), 415),
        (Exchange("POST", "/notes", text(), content_encoding="gzip"), 400),
        (Exchange("POST", "/notes", gzip.compress(text())[:-9], content_encoding="gzip"), 400),
        (Exchange("POST", "/notes", b"\x28\xb5\x2f\xfd\0", content_encoding="zstd"), 400),
        # Each member costs a copy of what follows it: a megabyte took seconds.
        (Exchange("POST", "/notes", gzip.compress(b"") * 50_000, content_encoding="gzip"), 400),
        (Exchange("POST", "/notes", zstd.compress(b"") * 50_000, content_encoding="zstd"), 400),
        (Exchange("POST", "/notes", zlib.compress(b"{}") * 2, content_encoding="deflate"), 400),
        (Exchange("POST", "/notes", gzip.compress(BOMB), content_encoding="gzip"), 413),
        (Exchange("POST", "/notes", zstd.compress(BOMB), content_encoding="zstd"), 413),
        (Exchange("POST", "/notes", b"", content_length="10485761"), 413),
        (Exchange("POST", "/notes", b"", content_length="9" * 400), 413),
        (Exchange("POST", "/notes", b"", content_length="-1"), 400),
        (Exchange("POST", "/notes", *[b" " * 6_000_000] * 2), 413),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(exchange, status):
    reply = exchange.run()
    assert reply.status == status and isinstance(reply.body["detail"], str)
    assert reply.headers["x-frame-options"] == "DENY"


def test_client_that_leaves_while_it_sends_gets_nothing():
    exchange = Exchange("POST", "/notes", b"{", b"}", gone=True).run()
    assert exchange.sent == [] and not exchange.left


def test_foreign_hosts_are_refused(settings):
    settings.ALLOWED_HOSTS = ["llm.example.com", "localhost"]
    assert Exchange("GET", "/paged", host="evil.example").run().status == 400
    assert Exchange("GET", "/paged", host=None).run().status == 400
    for host in ("llm.example.com", "LLM.example.com:8000", "localhost:8000"):
        assert Exchange("GET", "/paged", host=host).run().status == 200


def test_request_id_is_the_clients_when_it_is_presentable():
    assert Exchange("GET", "/paged", x_request_id="t-7").run().headers["x-request-id"] == "t-7"
    assert Exchange("GET", "/paged", x_request_id="a b").run().headers["x-request-id"] != "a b"


def test_access_log_has_a_line_for_each_request(settings, caplog):
    settings.ACCESS_LOG = True
    with caplog.at_level("INFO", "llmring.access"):
        Exchange("GET", "/fail").run()
    assert [record.message for record in caplog.records] == ["GET /fail 409"]


def streaming(chunks):
    async def endpoint(caller):
        return StreamingReply(chunks(), "text/event-stream")

    return [Route("GET", "/stream", endpoint)]


def test_chunks_are_sent_one_by_one():
    async def chunks():
        for number in range(3):
            yield b"%d" % number

    reply = Exchange("GET", "/stream").run(streaming(chunks))
    assert [message["body"] for message in reply.sent[1:]] == [b"0", b"1", b"2", b""]
    assert reply.headers["content-type"] == "text/event-stream"
    assert "content-length" not in reply.headers


def test_stream_ends_when_its_client_goes():
    ended = []

    async def chunks():
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    exchange = Exchange("GET", "/stream")
    send = exchange.send

    async def send_and_leave(message):
        await send(message)
        exchange._incoming.append({"type": "http.disconnect"})

    exchange.send = send_and_leave
    exchange.run(streaming(chunks))
    assert ended == [True]


def test_error_in_a_stream_breaks_it_off():
    async def chunks():
        yield b"first"
        raise ZeroDivisionError

    exchange = Exchange("GET", "/stream")
    with pytest.raises(ZeroDivisionError):
        exchange.run(streaming(chunks))
    assert exchange.sent[-1]["more_body"]
