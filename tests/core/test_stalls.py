"""Nothing stalls the event loop: what takes long is done in a thread."""

import asyncio
import gc
import json
import logging
import threading
import time
from collections.abc import Coroutine

import pytest

from core import exact_json
from core.database.group_commit import close_writers
from llmring_site.application import edge
from tests.receipts import vectors
from tests.receipts.conftest import empty_key_cache, signing
from tests.threads import giving_back
from tests.usage.calls import CALL

__all__ = ["empty_key_cache", "signing"]

SLOW_SECONDS = 0.005
PART_BYTES = 256 * 1024


class _MeasuredLoop(asyncio.SelectorEventLoop):
    """Measures callbacks by their processor time, which other programs do not lengthen."""

    def time(self) -> float:
        return time.thread_time()


@pytest.fixture
def loop():
    loop = _MeasuredLoop()
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW_SECONDS
    gc.collect()
    gc.freeze()  # what is loaded, as the server does
    yield loop
    loop.run_until_complete(close_writers())
    loop.close()


def exchange(key: str, method: str, path: str, body: bytes) -> Coroutine[None, None, int]:
    # As they come from the network: to make them takes milliseconds, which no callback may spend.
    parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
    return _exchange(key, method, path, parts, size=len(body))


async def _exchange(key: str, method: str, path: str, parts: list[bytes], *, size: int) -> int:
    sent = []

    async def receive() -> dict:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: dict) -> None:
        sent.append(message)

    headers = {
        "x-api-key": key,
        "content-type": "application/json",
        "content-length": str(size),  # without it a view sees no body
        "host": "testserver",
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await edge(scope, receive, send)
    return sent[0]["status"]


TEXT = "A sentence of a message. " * 8


def messages(count: int) -> dict:
    return {"messages": [{"role": "user", "content": TEXT} for _ in range(count)]}


# The last of four thousand members stands there twice.
REPEATED = b"{" + b"".join(b'"%d":1,' % number for number in range(4_000)) + b'"3999":1}'
LARGE_RECEIPT = {
    **vectors.signed_nested(),
    "x": {f"{number:x}": [1.5] for number in range(40_000)},
}
BODIES = {
    "log": ("/api/v1/log", CALL),
    "log with 200 KB of metadata": (
        "/api/v1/log",
        {**CALL, "metadata": {f"k{number}": [number, str(number)] for number in range(8_000)}},
    ),
    "log with 5 MB of metadata": (
        "/api/v1/log",
        {**CALL, "metadata": {f"k{number}": [number, TEXT] for number in range(20_000)}},
    ),
    "message with 3 MB of metadata": (
        "/messages",
        {"role": "user", "content": TEXT, "metadata": {f"k{n}": TEXT for n in range(15_000)}},
    ),
    "conversation with a prompt of 8 MB": ("/conversations", {"system_prompt": TEXT * 40_000}),
    "call with 3 MB of metadata": (
        "/conversations/log",
        {
            **messages(1),
            "response": {"content": TEXT, "metadata": {f"k{n}": TEXT for n in range(15_000)}},
            "metadata": {"provider": "openai", "model": "m"},
        },
    ),
    "batch of 10": ("/messages/batch", messages(10)),
    "batch of 800": ("/messages/batch", messages(800)),
    "batch of 10,000": ("/messages/batch", messages(10_000)),
    "call": (
        "/conversations/log",
        {
            **messages(2000),
            "response": {"content": TEXT},
            "metadata": {"provider": "openai", "model": "m"},
        },
    ),
    "receipt": ("/api/v1/receipts/verify", {"receipt": {str(n): n for n in range(100_000)}}),
    "receipt with a repeated member": ("/api/v1/receipts/verify", REPEATED),
}


REFUSED = {
    "log with 200 KB of metadata",
    "log with 5 MB of metadata",
    "receipt",
    "receipt with a repeated member",
}


def slow_callbacks(loop, caplog, key: str, path: str, content: bytes) -> tuple[int, list[str]]:
    """Return the status of the reply, and the messages of asyncio's slow-callback log."""
    with caplog.at_level(logging.WARNING, "asyncio"):
        status = loop.run_until_complete(exchange(key, "POST", path, content))
    return status, [record.message for record in caplog.records if record.name == "asyncio"]


@pytest.mark.django_db(transaction=True)  # what is not for the loop is done in other threads
@pytest.mark.parametrize("name", BODIES)
def test_no_callback_takes_more_than_five_milliseconds(api, loop, caplog, name):
    path, body = BODIES[name]
    if path.startswith("/messages"):
        path = f"/conversations/{api.send('POST', '/conversations', {})['id']}{path}"
    api.send("POST", "/api/v1/log", CALL)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, slow = slow_callbacks(loop, caplog, api.key, path, content)
    assert (status, slow) == (422 if name in REFUSED else 200, [])


def logged(messages: list[dict]) -> dict:
    metadata = {"provider": "openai", "model": "m"}
    return {"messages": messages, "response": {"content": TEXT}, "metadata": metadata}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "small", "large"),
    [
        ("/api/v1/receipts/issue", vectors.nested(), LARGE_RECEIPT),
        ("/api/v1/receipts/verify", vectors.signed_nested(), LARGE_RECEIPT),
        ("/conversations/log", logged([]), logged([{}] * 10_000)),
    ],
)
def test_what_takes_long_is_done_in_a_thread(api, signing, loop, caplog, path, small, large):
    api.send("POST", path, small)  # now keys and prices are in memory
    content = json.dumps(large).encode()
    assert slow_callbacks(loop, caplog, api.key, path, content) == (200, [])


@pytest.mark.django_db(transaction=True)
def test_texts_of_expensive_characters_are_cut_in_a_thread(api, loop, caplog):
    api.send("POST", "/conversations/log", logged([]))
    ligature_of_eighteen = "\ufdfa"
    body = logged([{"content": ligature_of_eighteen * 2_000}] * 40)
    content = json.dumps(body).encode()
    assert slow_callbacks(loop, caplog, api.key, "/conversations/log", content) == (200, [])


def test_collector_is_paused_while_a_large_body_is_parsed(monkeypatch):
    """It would look at three million lists again and again, for seconds."""
    seen = []
    monkeypatch.setattr(exact_json.orjson, "loads", lambda body: seen.append(gc.isenabled()))
    exact_json.loads(b"[" + b"[]," * 50_000 + b"[]]")
    exact_json.loads(b"[]")
    assert seen == [False, True] and gc.isenabled()


def _batch_of_logs(api) -> tuple[str, dict]:
    log = {**CALL, "latency_ms": 12345678, "metadata": {"text": TEXT * 8}}
    return "/api/v1/log/batch", {"logs": [log] * 5_000}


def _batch_of_messages(api) -> tuple[str, dict]:
    conversation = api.send("POST", "/conversations", {})["id"]
    message = {"role": "user", "content": TEXT * 5}
    return f"/conversations/{conversation}/messages/batch", {"messages": [message] * 9_000}


def _call_of_words(api) -> tuple[str, dict]:
    return "/conversations/log", logged([{"role": "user", "content": "é " * 1_200_000}])


def _log_of_members(api) -> tuple[str, dict]:
    return "/api/v1/log", CALL | {f"member {number}": number for number in range(400_000)}


def _log_of_numbers(api) -> tuple[str, dict]:
    return "/api/v1/log", CALL | {"numbers": [*range(1_100_000)]}


def _call_of_objects(api) -> tuple[str, dict]:
    arguments = [{"name": str(number), "value": [number]} for number in range(90_000)]
    return "/conversations/log", logged([]) | {"arguments": arguments, "text": TEXT * 25_000}


def _message_of_members(api) -> tuple[str, dict]:
    conversation = api.send("POST", "/conversations", {})["id"]
    metadata = {f"member {number}": number for number in range(400_000)}
    return f"/conversations/{conversation}/messages", {
        "role": "user",
        "content": TEXT,
        "metadata": metadata,
    }


def _longest_hold(call) -> float:
    """Return the most processor time that passes while this thread waits for its turn."""
    worker = threading.Thread(target=giving_back(call))
    worker.start()
    longest, last = 0.0, time.process_time()
    while worker.is_alive():
        time.sleep(0.0005)
        now = time.process_time()
        longest, last = max(longest, now - last), now
    return longest


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "make",
    [
        _batch_of_logs,
        _batch_of_messages,
        _call_of_words,
        _log_of_members,
        _log_of_numbers,
        _call_of_objects,
        _message_of_members,
    ],
)
def test_a_body_of_eight_megabytes_holds_others_less_than_a_tenth_of_a_second(api, make):
    path, body = make(api)
    content = json.dumps(body).encode()
    assert len(content) > 8_000_000
    statuses: list[int] = []

    def call() -> None:
        statuses.append(asyncio.run(exchange(api.key, "POST", path, content)))

    gc.collect()
    gc.freeze()  # what is loaded, as the server does
    # Where this thread is not woken in time, several holds are measured as one.
    assert any(_longest_hold(call) < 0.1 for _ in range(5))
    gc.unfreeze()
    assert set(statuses) == {200}
