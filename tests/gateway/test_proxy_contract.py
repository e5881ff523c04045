"""The older proxy's black-box table, rows 11 to 25 and 38, those that no other file tests."""

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Allowance, Project
from gateway import tokens, upstreams
from gateway.models import Call
from tests.gateway.calls import leave, open_stream, settled_row, within_a_second
from tests.gateway.conftest import counts
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    ScriptedUpstream,
    chat,
    content,
    hang_up,
    head,
    in_turn,
    reply,
    stop,
    stream,
)

SENT = {"model": "gpt-4o-mini", "messages": []}


def test_row_14_each_call_is_counted(gateway, mock):
    mock.script = in_turn(reply(chat()), reply({"error": {"message": "no"}}, 400), reply(chat()))
    for _ in range(3):
        gateway.chat()
    allowance = Allowance.objects.get(id=gateway.token_row.allowance_id)
    assert allowance.requests == 3
    assert gateway.get("/v1/token").json()["request_count"] == 3


def test_row_16_a_project_is_switched_off_and_on(gateway, mock):
    mock.script = reply(chat())
    own = Project.objects.filter(id=gateway.project.id)
    own.update(archived_at=timezone.now())
    within_a_second(lambda: gateway.chat().status_code == 403)
    own.update(archived_at=None)
    within_a_second(lambda: gateway.chat().status_code == 200)


def test_row_16_a_project_is_deleted_only_once_its_calls_have_ended(gateway, mock):
    """Their rows would be left of it."""
    called, may_end = threading.Event(), threading.Event()

    async def script(request, writer):
        called.set()
        await asyncio.to_thread(may_end.wait, 10)
        await reply(chat())(request, writer)

    mock.script = script
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(gateway.chat)
        assert called.wait(10)
        with pytest.raises(CommandError, match="in progress: 1; try again later"):
            call_command("deleteproject", str(gateway.project.id), "--archive")
        may_end.set()
        assert call.result().status_code == 200
    assert counts(gateway.row)[0] == "settled"
    call_command("deleteproject", str(gateway.project.id))
    assert gateway.rows == [] and not Project.objects.filter(id=gateway.project.id).exists()


BODY = (
    b'{ "model":"gpt-4o-mini",\n"messages":[] , "x":1.0e2, "y":"\\u00fc", '
    b'"big":12345678901234567890}'
)


@pytest.mark.parametrize("query", ["", "?a=1&b=%20&c=%C3%BC&a=2", "?x=%2F..%2F&y", "?"])
def test_row_17_path_query_and_body_arrive_as_they_were_sent(gateway, mock, query):
    mock.script = reply(chat())
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    url = f"{gateway.url}/v1/chat/completions{query}"
    assert requests.post(url, data=BODY, headers=headers, timeout=10).status_code == 200
    [seen] = mock.requests
    assert (seen.target, seen.body) == (f"/v1/chat/completions{query.rstrip('?')}", BODY)
    assert seen.header("Content-Type") == "application/json"
    assert gateway.token not in str(seen)


def test_row_17_a_streaming_body_has_one_member_more(gateway, mock):
    mock.script = stream(content("Hi"), stop(), USAGE_CHUNK, DONE)
    body = BODY[:-1] + b',"stream":true}'
    headers = {"Authorization": f"Bearer {gateway.token}"}
    requests.post(f"{gateway.url}/v1/chat/completions", data=body, headers=headers, timeout=10)
    [seen] = mock.requests
    assert seen.body.replace(b'"stream_options":{"include_usage":true},', b"") == body


def of_status(status: int, gateway, mock) -> dict:
    """Prepare an answer of this status; return the arguments of the chat that gets it."""
    gateway.use(allowed_models=["gpt-4o-mini"])
    mock.script = hang_up if status == 502 else reply(chat())
    match status:
        case 401:
            return {"token": "sk-" + "x" * 22}
        case 403:
            return {"model": "gpt-4o"}
    return {}


@pytest.mark.parametrize("status", [200, 401, 403, 502])
def test_row_18_a_request_has_one_id(gateway, mock, status):
    arguments = of_status(status, gateway, mock)
    answer = gateway.chat(headers={"X-Request-ID": "mine-1"}, **arguments)
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"] == "mine-1"
    assert answer.headers["X-LLMRing-Request-ID"] == "mine-1"
    assert {seen.header("X-Request-ID") for seen in mock.requests} <= {"mine-1"}


def test_row_19_events_arrive_when_they_are_sent(gateway, mock):
    pieces = [content(f"word{n} ") for n in range(20)]
    sent_at = []

    async def script(request, writer):
        writer.write(head(200, Transfer_Encoding="chunked", Content_Type="text/event-stream"))
        for piece in pieces:
            await asyncio.sleep(0.03)
            sent_at.append(time.monotonic())
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    mock.script = script
    answer = open_stream(gateway)
    lines = answer.iter_lines(chunk_size=1, delimiter=b"\n\n")
    arrived = [time.monotonic() for line in lines if line]
    late = sorted(got - sent for got, sent in zip(arrived, sent_at, strict=True))
    assert late[len(late) // 2] < 0.05


def whitelist(mock, upstreams_file, more: str = "") -> None:
    upstreams_file(
        f"apis:\n  openai:\n    base_url: {mock.url}\n    api_key: k\n"
        f'    param_whitelist: {{model: [gpt-4o, "gpt-4.1-*"]}}\n{more}'
    )


BODIES = {
    "allowed": (b'{"model":"gpt-4o"}', 200),
    "glob": (b'{"model":"gpt-4.1-mini"}', 200),
    "other": (b'{"model":"gpt-3.5"}', 400),
    "across a slash": (b'{"model":"gpt-4.1-x/y"}', 400),
    "a list": (b'{"model":["gpt-4o","gpt-3.5"]}', 400),
    "twice": (b'{"model":"gpt-4o","model":"gpt-3.5"}', 400),
    "twice, reversed": (b'{"model":"gpt-3.5","model":"gpt-4o"}', 400),
    "another case": (b'{"model":"gpt-4o","Model":"gpt-3.5"}', 400),
    "missing": (b'{"messages":[]}', 200),
    "malformed": (b'{"model":"gpt-4o"', 400),
}


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain"])
@pytest.mark.parametrize("name", BODIES)
def test_row_21_parameters(gateway, mock, upstreams_file, name, content_type):
    """Also for a token without limits: the list is the upstream's."""
    whitelist(mock, upstreams_file)
    mock.script = reply(chat())
    body, status = BODIES[name]
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": content_type}
    url = f"{gateway.url}/v1/chat/completions"
    assert requests.post(url, data=body, headers=headers, timeout=10).status_code == status
    assert len(mock.requests) == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"models": ["gpt-3.5"]}, 400),
        ({"models": "gpt-3.5"}, 400),
        ({"Models": ["gpt-4o", "gpt-3.5"]}, 400),
        ({"fallbacks": [{"model": "gpt-3.5"}]}, 400),
        ({"fallbacks": [{"gpt-4o": ["gpt-3.5"]}]}, 400),
        ({"fallback": "gpt-3.5"}, 400),
        ({"models": ["gpt-4o", "gpt-4.1-mini"], "fallbacks": [{"model": "gpt-4o"}]}, 200),
        ({"models": None, "disable_fallbacks": True}, 200),
    ],
    ids=str,
)
def test_row_21_models_to_fall_back_to(gateway, mock, upstreams_file, members, status):
    whitelist(mock, upstreams_file)
    mock.script = reply(chat())
    answer = gateway.chat("gpt-4o", **members)
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["error"]["param"] == "model"
    assert len(mock.requests) == (1 if status == 200 else 0)


def test_row_21_models_with_a_list_of_their_own(gateway, mock, upstreams_file):
    lists = "param_whitelist: {model: [gpt-4o], models: [gpt-3.5]}"
    upstreams_file(f"apis: {{openai: {{base_url: {mock.url}, api_key: k, {lists}}}}}")
    mock.script = reply(chat())
    assert gateway.chat("gpt-4o", models=["gpt-3.5"]).status_code == 200
    assert gateway.chat("gpt-4o", models=["gpt-4o"]).status_code == 400


def test_row_21_parameters_of_a_query(gateway, mock, upstreams_file):
    whitelist(mock, upstreams_file)
    mock.script = reply(chat())
    for query, status in (("?model=gpt-4o", 200), ("?model=gpt-3.5", 400), ("?Model=gpt-4o", 400)):
        path = f"/v1/chat/completions{query}"
        assert gateway.post(path, {"model": "gpt-4o"}).status_code == status


@pytest.mark.parametrize("separator", "&;")
def test_parameters_of_a_query_are_checked_up_to_a_thousand(
    gateway, mock, upstreams_file, separator
):
    mock.script = reply(chat())
    long = "/v1/chat/completions?" + separator.join(f"a{n}=b" for n in range(1_001))
    short = long.rpartition(separator)[0]

    def statuses() -> list[int]:
        return [gateway.post(path, {"model": "gpt-4o"}).status_code for path in (short, long)]

    assert statuses() == [200, 200]
    assert mock.requests[-1].target == long
    gateway.use(allowed_models=["gpt-*"])
    assert statuses() == [200, 400]
    gateway.use()
    whitelist(mock, upstreams_file)
    assert statuses() == [200, 400]


def test_row_22_a_refused_origin_is_not_allowed_to_read(gateway, mock, upstreams_file):
    whitelist(mock, upstreams_file, "    allowed_origins: [https://www.example.com]\n")
    mock.script = reply(chat())
    allowed = gateway.chat("gpt-4o", headers={"Origin": "https://www.example.com"})
    refused = gateway.chat("gpt-4o", headers={"Origin": "https://evil.test"})
    without = gateway.chat("gpt-4o")
    assert [allowed.status_code, refused.status_code, without.status_code] == [200, 403, 200]
    assert refused.json()["error"]["code"] == "origin_not_allowed"
    assert not [name for name in refused.headers if name.lower().startswith("access-control")]
    assert allowed.headers["Access-Control-Allow-Origin"] in ("*", "https://www.example.com")


@pytest.mark.parametrize("listed", ["HTTPS://App.test:443", "https://app.test/"])
@pytest.mark.parametrize("of_token", [True, False], ids=["token", "upstream"])
def test_row_22_an_origin_may_be_written_otherwise_than_browsers_do(
    gateway, mock, upstreams_file, of_token, listed
):
    mock.script = reply(chat())
    if of_token:
        gateway.use(allowed_origins=[listed])
    else:
        whitelist(mock, upstreams_file, f"    allowed_origins: ['{listed}']\n")

    def status(origin: str) -> int:
        return gateway.chat("gpt-4o", headers={"Origin": origin}).status_code

    assert status("https://app.test") == 200
    others = ("http://app.test", "https://app.test:80", "https://app.test.evil.test", "null", "")
    assert [status(origin) for origin in others] == [403] * 5


def test_row_22_pages_without_an_origin_may_be_listed(gateway, mock, upstreams_file):
    """Such as those of files, and of frames in a sandbox."""
    whitelist(mock, upstreams_file, "    allowed_origins: ['null']\n")
    mock.script = reply(chat())
    assert gateway.chat("gpt-4o", headers={"Origin": "null"}).status_code == 200
    assert gateway.chat("gpt-4o", headers={"Origin": "https://app.test"}).status_code == 403


def test_row_20_the_root_of_all_paths_covers_them(gateway, mock):
    mock.script = reply(chat())
    assert gateway.use(allowed_endpoints=["/"]).chat().status_code == 200
    assert gateway.use(allowed_endpoints=["//v1//chat/"]).chat().status_code == 200
    assert gateway.use(allowed_endpoints=["/v1/chat/completions/x"]).chat().status_code == 403


def test_row_20_an_upstream_serves_the_endpoints_and_methods_of_its_lists(
    gateway, mock, upstreams_file
):
    lists = "allowed_endpoints: [/v1/chat/*, /v1/files], allowed_methods: [post]"
    upstreams_file(f"apis: {{openai: {{base_url: {mock.url}, api_key: k, {lists}}}}}")
    mock.script = reply(chat())
    assert gateway.chat().status_code == 200
    other = gateway.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"})
    assert (other.status_code, other.json()["error"]["code"]) == (404, "endpoint_not_found")
    read = gateway.send("GET", "/v1/files/file-1")
    assert (read.status_code, read.json()["error"]["code"]) == (405, "method_not_allowed")
    assert read.headers["Allow"] == "POST"
    assert len(mock.requests) == 1


def test_row_23_any_header_can_be_required(gateway, mock, upstreams_file):
    whitelist(mock, upstreams_file, "    required_headers: [X-Team, user-agent]\n")
    mock.script = reply(chat())
    refused = gateway.chat("gpt-4o")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "header_required")
    assert gateway.chat("gpt-4o", headers={"x-team": "a"}).status_code == 200


def redirect_to(location: str, status: int):
    async def script(request, writer):
        writer.write(head(status, Location=location, Content_Length="0"))

    return script


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("auth", ["bearer", "api-key"])
def test_b08_another_host_gets_no_key(gateway, mock, upstreams_file, status, auth):
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}, api_key: the-key, auth: {auth}}}\n")
    with ScriptedUpstream() as other:
        for location in (f"{other.url}/elsewhere", "/v1/chat/completions/"):
            mock.script = redirect_to(location, status)
            answer = gateway.chat(stream=True)
            assert (answer.status_code, answer.json()["error"]["code"]) == (
                502,
                "upstream_redirects",
            )
        assert other.requests == []
    assert len(mock.requests) == 2
    assert [counts(row)[0] for row in gateway.rows] == ["failed", "failed"]


@pytest.mark.slow
def test_b07_a_slow_reader_slows_the_upstream(gateway, mock):
    """The server is a thread of this process: what it held would be this process's memory."""
    event = content("x" * 20)
    block = event * (65536 // len(event))
    written = 0

    async def script(request, writer):
        nonlocal written
        writer.write(head(200, Content_Type="text/event-stream", Connection="close"))
        for _ in range(640):  # 40 MB
            writer.write(block)
            await writer.drain()
            written += len(block)
        writer.write(stop() + USAGE_CHUNK + DONE)
        writer.close()

    mock.script = script
    before = psutil.Process().memory_info().rss
    answer = open_stream(gateway)
    got = len(answer.raw.read(65536))
    stalled = -1
    while written != stalled:
        stalled = written
        time.sleep(0.3)
    assert written < 20_000_000  # what sockets and their buffers hold
    assert psutil.Process().memory_info().rss - before < 24 * 2**20
    while part := answer.raw.read(1 << 20):
        got += len(part)
    assert got == 640 * len(block) + len(stop() + DONE)
    assert psutil.Process().memory_info().rss - before < 32 * 2**20
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)


def test_row_38_an_upload_is_not_held(gateway, settings):
    """The upstream has the beginning before the client sends the end."""
    begun, length = threading.Event(), 5_000_000

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            got = connection.recv(65536)
            begun.set()
            while b"--b--" not in got[-100:]:
                got = got[-100:] + connection.recv(1 << 20)
            connection.sendall(head(200, Content_Type="application/json", Content_Length="2"))
            connection.sendall(b"{}")

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(length // 100_000):
            yield b"x" * 100_000
        assert begun.wait(10)
        yield b"\r\n--b--\r\n"

    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.OPENAI_API_URL = f"http://127.0.0.1:{listening.getsockname()[1]}"
        upstreams.forget()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        headers = {
            "Authorization": f"Bearer {gateway.token}",
            "Content-Type": "multipart/form-data; boundary=b",
        }
        url = f"{gateway.url}/v1/audio/transcriptions"
        assert requests.post(url, data=pieces(), headers=headers, timeout=20).json() == {}
        thread.join()
    assert gateway.row.requested_model == "whisper-1"


def connect(gateway) -> socket.socket:
    host, port = gateway.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def head_of(gateway, path: str, *lines: str, version: str = "1.1") -> bytes:
    first = [f"POST {path} HTTP/{version}", "Host: x", f"Authorization: Bearer {gateway.token}"]
    return "\r\n".join([*first, *lines, "", ""]).encode()


@pytest.mark.parametrize("code", ["token_inactive", "token_expired"])
def test_a_body_that_comes_slowly_keeps_no_token_alive(gateway, mock, code):
    """A call could be begun in time, and made whenever its client likes."""
    data = json.dumps(SENT).encode()
    with connect(gateway) as sock:
        length = f"Content-Length: {len(data)}"
        sock.sendall(head_of(gateway, "/v1/chat/completions", length) + data[:9])
        within_a_second(lambda: gateway.get("/v1/token").status_code == 200)  # its turn has been
        if code == "token_inactive":
            tokens.change(gateway.token_row, is_active=False)
        else:
            tokens.change(gateway.token_row, expires_at=timezone.now())
        within_a_second(lambda: gateway.get("/v1/token").status_code == 401)
        sock.sendall(data[9:])
        got = sock.recv(65536)
    assert got.startswith(b"HTTP/1.1 401 ") and f'"{code}"'.encode() in got
    assert mock.requests == [] and gateway.rows == []


@pytest.mark.parametrize("kind", ["form", "json"])
def test_a_client_that_leaves_while_it_sends(gateway, mock, kind):
    mock.script = reply({"text": "hello"})
    gateway.use(max_requests=5)
    path = "/v1/audio/transcriptions" if kind == "form" else "/v1/chat/completions"
    type = "multipart/form-data; boundary=b" if kind == "form" else "application/json"
    with connect(gateway) as sock:
        sock.sendall(
            head_of(gateway, path, f"Content-Type: {type}", "Content-Length: 1000000")
            + b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        )
        time.sleep(0.3)
    if kind == "form":
        assert settled_row(gateway).error == "request_incomplete"
        assert counts(gateway.row)[0] == "failed"
    within_a_second(lambda: not any(each["in_flight"] for each in upstreams.status().values()))
    assert Call.objects.count() == 0
    assert {each["breaker"] for each in upstreams.status().values()} <= {"closed"}


def test_c03_a_client_leaves_and_the_upstream_answers_an_error(gateway, mock):
    mock.script = reply({"error": {"message": "no"}}, 500, delay=0.4)
    gateway.use(budget_usd=1)
    leave(gateway, {"max_tokens": 100}, after=0.1)
    assert counts(settled_row(gateway))[0] == "failed"
    assert gateway.left == 1


def test_b10_clients_that_leave_leave_nothing(gateway, mock):
    mock.script = stream(*[content(f"w{n}") for n in range(20)], USAGE_CHUNK, DONE, delay=0.02)
    with ThreadPoolExecutor(30) as threads:
        list(threads.map(lambda _: leave(gateway, {"stream": True}, read_bytes=400), range(60)))
    deadline = time.monotonic() + 20
    while len(gateway.rows) < 60:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {counts(row) for row in gateway.rows} == {("settled", 176, 1024, 340, 0)}
    assert upstreams.status()["openai"]["in_flight"] == 0
    assert Call.objects.count() == 0


DATA = json.dumps(SENT).encode()
LENGTH = f"Content-Length: {len(DATA)}"


def requests_as_clients_write_them(gateway) -> dict[str, bytes]:
    path, close = "/v1/chat/completions", "Connection: close"
    chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, DATA[:9], len(DATA) - 9, DATA[9:])
    last = head_of(gateway, path, LENGTH, close) + DATA
    return {
        "HTTP/1.0": head_of(gateway, path, LENGTH, version="1.0") + DATA,
        "chunks": head_of(gateway, path, "Transfer-Encoding: chunked", close) + chunks,
        "asks first": head_of(gateway, path, LENGTH, close, "Expect: 100-continue") + DATA,
        "a long header": head_of(gateway, path, LENGTH, close, "X-Long: " + "a" * 50_000) + DATA,
        "two at once": head_of(gateway, path, LENGTH) + DATA + last,
    }


@pytest.mark.parametrize(
    "name", ["HTTP/1.0", "chunks", "asks first", "a long header", "two at once"]
)
def test_requests_as_clients_write_them(gateway, mock, name):
    mock.script = reply(chat())
    with connect(gateway) as sock:
        sock.sendall(requests_as_clients_write_them(gateway)[name])
        got = b""
        while part := sock.recv(65536):
            got += part
    count = 2 if name == "two at once" else 1
    assert got.count(b"HTTP/1.1 200 ") == got.count(b'"chat.completion"') == count
    assert [seen.body for seen in mock.requests] == [DATA] * count
    assert [counts(row)[0] for row in gateway.rows] == ["settled"] * count
