"""What the ledger holds when clients, and a worker, end in the middle of their calls."""

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psutil
import pytest
import urllib3
from django.db import connections

from accounts.models import Allowance
from core.database import raw_connection
from gateway import call_relay, metering, tokens, upstreams
from gateway.models import Call, Worker
from gateway.worker import WorkerThread
from tests.gateway.calls import open_call, settled_row, within_a_second
from tests.gateway.served import Client, server_of
from tests.gateway.upstream import (
    DONE,
    ScriptedUpstream,
    chat,
    chunk,
    content,
    head,
    reply,
    stop,
    stream,
)
from usage.models import DailyUsage, UsageLog

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]

CLIENTS, CALLS_OF_EACH = 200, 3
CHUNKS, CHUNK_SECONDS = 20, 0.05


class CountingUpstream:
    """Streams with usage of their own, which it remembers by the number in their prompt."""

    def __init__(self) -> None:
        self.usage: dict[int, dict] = {}
        self.repeated: list[int] = []

    async def __call__(self, request, writer) -> None:
        number = int(request.json["messages"][0]["content"])
        if number in self.usage:
            self.repeated.append(number)
        prompt, completion = 20 + number % 7, 10 + number % 11
        self.usage[number] = usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        last = chunk({"choices": [], "model": "gpt-4o-mini", "usage": usage})
        pieces = [content("word ")] * CHUNKS + [stop(), last, DONE]
        await stream(*pieces, delay=CHUNK_SECONDS)(request, writer)


class Crowd:
    """Clients that stream all the time, of which some leave wherever they are."""

    def __init__(self, url: str, seed: int) -> None:
        self._client = Client(url)
        self._random = random.Random(seed)
        self._next = 0
        self.endings: Counter[str] = Counter()

    async def stream(self, token: str) -> None:
        for _ in range(CALLS_OF_EACH):
            try:
                self.endings[await self._one(token)] += 1
            except (ConnectionError, asyncio.IncompleteReadError):
                self.endings["broken"] += 1
                await asyncio.sleep(0.05)

    async def _one(self, token: str) -> str:
        number, self._next = self._next, self._next + 1
        leaves_after = self._random.randrange(3000) if self._random.random() < 0.3 else None
        body = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": str(number)}],
            "max_tokens": 50,
            "stream": True,
        }
        reader, writer = await self._client.open(body, token=token, metadata={"n": number})
        try:
            if leaves_after is not None:
                await reader.readexactly(leaves_after)
                return "left"
            status = (await reader.readuntil(b"\r\n")).split()[1]
            if status != b"200":
                await asyncio.sleep(0.1)
                return "refused"
            await reader.readuntil(b"0\r\n\r\n")
            return "whole"
        finally:
            writer.transport.abort()


async def watch_budgets(over: list) -> None:
    """Note every allowance that is over its budget at some moment."""
    query = "SELECT spent_usd, reserved_usd, budget_usd FROM allowances"
    with raw_connection.connect() as database:
        while True:
            over += database.execute(
                f"{query} WHERE spent_usd + reserved_usd > budget_usd"
            ).fetchall()
            await asyncio.sleep(0.02)


async def kill_one_worker(server) -> set:
    """Kill a worker that has calls under way; return the ids of those that it left."""
    try:
        while True:
            await asyncio.sleep(0.05)
            for worker in Worker.objects.all():
                left = Call.objects.filter(worker_id=worker.id)
                if left.count() < CLIENTS / 10:
                    continue
                os.kill(worker.process_id, signal.SIGKILL)
                while psutil.pid_exists(worker.process_id):
                    await asyncio.sleep(0.005)
                return set(left.values_list("id", flat=True))
    finally:
        connections.close_all()  # Django's connections are those of the task, too


async def chaos(server, *, roomy: str, tight: str) -> tuple[Crowd, set, list]:
    crowd, over = Crowd(server.url, seed=20), []
    watching = asyncio.create_task(watch_budgets(over))
    everybody = [crowd.stream(tight if n % 10 == 0 else roomy) for n in range(CLIENTS)]
    lost, *_ = await asyncio.gather(kill_one_worker(server), *everybody)
    watching.cancel()
    return crowd, lost, over


def test_b09_ledger_is_exact_through_lost_clients_and_a_killed_worker(
    project, tmp_path, monkeypatch
):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # the test's own loop may wait
    _, roomy = tokens.issue(project, expires_at=None, budget_usd=Decimal(100))
    # For fifteen of its twenty clients at a time: some are refused while others stream.
    tight_row, tight = tokens.issue(project, expires_at=None, budget_usd=Decimal("0.0007"))
    upstream = CountingUpstream()
    with ScriptedUpstream() as mock:
        mock.script = upstream
        with server_of(tmp_path, workers=2, OPENAI_API_URL=mock.url) as server:
            crowd, lost, over = asyncio.run(chaos(server, roomy=roomy, tight=tight))
            deadline = time.monotonic() + 10
            while Call.objects.filter(state="pending").exists():
                assert time.monotonic() < deadline, server.output
                time.sleep(0.1)
            assert len(server.workers()) == 2
            assert "Traceback" not in server.output

    assert {"whole", "left", "broken", "refused"} <= crowd.endings.keys()
    assert not over
    assert not upstream.repeated
    rows = {row.metadata["n"]: row for row in UsageLog.objects.all()}
    assert len(rows) == UsageLog.objects.count()
    assert upstream.usage.keys() <= rows.keys()
    assert lost
    assert {row.id for row in rows.values() if row.usage_status == "unknown"} == lost
    for number, row in rows.items():
        if row.id in lost:
            assert row.error == "worker_lost"
            continue
        stated = upstream.usage[number]
        assert (row.usage_status, row.input_tokens, row.output_tokens) == (
            "settled",
            stated["prompt_tokens"],
            stated["completion_tokens"],
        )
    assert set(Call.objects.values_list("id", flat=True)) == lost
    allowance = Allowance.objects.get(id=tight_row.allowance_id)
    own = [row for row in rows.values() if row.api_key_id == tight_row.id]
    assert allowance.spent_usd == sum(row.cost or 0 for row in own) > 0
    kept = Call.objects.filter(token_id=tight_row.id).values_list("reserved_usd", flat=True)
    assert allowance.reserved_usd == sum(kept)


def test_b10_slow_reader_slows_the_upstream_down_and_takes_no_memory(project, tmp_path):
    """200 MB in events of 100 bytes, of which the client reads 64 KiB."""
    _, token = tokens.issue(project, expires_at=None)
    sent = 0
    event = chunk({"choices": [{"index": 0, "delta": {"content": "x" * 39}}]})
    assert len(event) == 100

    async def flood(request, writer) -> None:
        nonlocal sent
        writer.write(head(200, Content_Type="text/event-stream", Transfer_Encoding="chunked"))
        framed = b"64\r\n" + event + b"\r\n"
        for _ in range(200_000_000 // len(event)):
            writer.write(framed)
            await writer.drain()
            sent += len(event)

    (tmp_path / "upstreams.yaml").write_text("apis: {openai: {drain: {megabytes: 1}}}")
    with ScriptedUpstream() as mock:
        mock.script = flood
        variables = {
            "OPENAI_API_URL": mock.url,
            "API_CONFIG_PATH": str(tmp_path / "upstreams.yaml"),
        }
        with server_of(tmp_path, workers=1, **variables) as server:
            body = {"model": "gpt-4o-mini", "messages": [], "stream": True}
            read_slowly(server, body, token=token)  # once, so that everything is loaded
            [worker] = server.workers() or [psutil.Process(server.process.pid)]
            before, sent = worker.memory_info().rss, 0
            grown = read_slowly(server, body, token=token, worker=worker) - before
            assert 2**16 < sent < 24 * 2**20  # what the sockets between us hold
            assert grown <= 8 * 2**20


def read_slowly(server, body: dict, *, token: str, worker: psutil.Process | None = None) -> int:
    """Read 64 KiB and nothing for two seconds; return the most memory that the worker had."""

    async def read() -> int:
        reader, writer = await Client(server.url).open(body, token=token)
        await reader.readexactly(2**16)
        writer.transport.pause_reading()
        most = 0
        for _ in range(20 if worker else 1):
            await asyncio.sleep(0.1)
            most = max(most, worker.memory_info().rss if worker else 0)
        writer.transport.abort()
        return most

    return asyncio.run(read())


def test_chunks_arrive_one_by_one(gateway, mock):
    """Each is sent 10 ms after the one before has arrived: one that is held back ends the test."""
    arrived = threading.Semaphore(1)
    pieces = [*(content(f"word {number}") for number in range(50)), stop(), DONE]

    async def script(request, writer) -> None:
        writer.write(head(200, Content_Type="text/event-stream", Transfer_Encoding="chunked"))
        for piece in pieces:
            async with asyncio.timeout(10):
                while not arrived.acquire(blocking=False):
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")

    mock.script = script
    body = {"model": "gpt-4o-mini", "messages": [], "stream": True}
    answer = gateway.post("/v1/chat/completions", body, stream=True)
    for piece in pieces:
        assert answer.raw.read1(65536) == piece
        arrived.release()
    assert answer.raw.read() == b""


def test_a_stream_outlives_every_timeout_but_that_of_the_whole_call(gateway, mock, upstreams_file):
    limits = "connect: 400ms, response_header: 400ms, idle: 400ms"
    upstreams_file(
        f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k, timeouts: {{{limits}}}}}\n"
    )
    pieces = [content("word ")] * 12 + [stop(), DONE]
    mock.script = stream(*pieces, delay=0.15)

    began = time.monotonic()
    answer = gateway.chat(stream=True)

    assert answer.content == b"".join(pieces)
    assert time.monotonic() - began > 4 * 0.4
    assert gateway.row.error is None


def test_b09_call_of_a_process_that_never_gave_a_sign_of_life_is_unknown(gateway):
    call = gateway.leave_call()
    seconds = 0
    worker = WorkerThread(lambda: seconds)

    def look() -> list[UsageLog]:
        worker.beat()
        worker.sweep()
        return gateway.rows

    assert look() == []
    seconds = 5
    assert look() == []
    seconds = 6
    [row] = look()
    assert (row.id, row.usage_status, row.error) == (call.id, "unknown", "worker_lost")
    assert (row.api_key_id, row.created_at) == (call.token_id, call.started_at)
    assert row.requested_model == call.row["requested_model"]
    assert gateway.pending == 0


def stop_server() -> None:
    """Do what a server does with calls that go on when its time to stop is over."""
    for task in [*call_relay._running]:
        task.get_loop().call_soon_threadsafe(task.cancel)


def test_a_stream_that_outlives_the_server_is_estimated(gateway, mock):
    text = content("word " * 8)  # 40 characters
    mock.script = stream(text, stop(), pauses={1: 30})
    gateway.use(budget_usd=1)
    sent = {"model": "gpt-4o-mini", "messages": [], "max_tokens": 100, "stream": True}
    answer = gateway.post("/v1/chat/completions", sent, stream=True)
    assert answer.raw.read1(65536) == text

    stop_server()

    rest = b""
    with pytest.raises(urllib3.exceptions.ProtocolError):
        while True:
            rest += answer.raw.read1(65536)
    assert b'"code":"server_stopped"' in rest
    row = gateway.row
    assert (row.usage_status, row.output_tokens, row.error) == ("estimated", 10, "server_stopped")
    assert gateway.left == 1 - row.cost


def test_an_answer_that_the_server_does_not_live_to_see_is_unknown(gateway, mock):
    mock.script = reply(chat(), delay=30)
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(gateway.chat)
        while not mock.requests:
            time.sleep(0.005)
        stop_server()
        refused = answer.result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_stopped")
    assert refused.headers["x-should-retry"] == "false"
    assert (gateway.row.usage_status, gateway.row.error) == ("unknown", "server_stopped")
    assert upstreams.status()["openai"]["in_flight"] == 0


@pytest.mark.parametrize("is_stream", [False, True], ids=["no answer", "stream"])
def test_a_call_is_settled_though_it_is_cancelled_again(gateway, mock, monkeypatch, is_stream):
    """While its row is written."""
    settle = metering.settle

    async def settle_late(call, outcome):
        for task in call_relay._running:
            task.cancel()
        await asyncio.sleep(0)
        return await settle(call, outcome)

    monkeypatch.setattr(metering, "settle", settle_late)
    mock.script = reply(chat(), delay=30)
    if is_stream:
        mock.script = stream(content("Hi"), stop(), pauses={1: 30})
    with open_call(gateway, {"stream": is_stream}) as sock:
        got = b""
        while is_stream and b"Hi" not in got:
            got += sock.recv(65536)
        within_a_second(lambda: mock.requests)
        stop_server()
        row = settled_row(gateway)
    assert (row.usage_status, row.error) == (
        "estimated" if is_stream else "unknown",
        "server_stopped",
    )
    assert gateway.pending == 0


@pytest.mark.parametrize("at", ["before", "while", "after"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_an_answer_that_had_come_is_settled_though_the_server_ends(
    gateway, mock, monkeypatch, is_stream, at
):
    """Before its row is under way, while it is, or after it was written."""
    settle, outcomes = metering.settle, []

    async def settle_when_cancelled(call, outcome):
        outcomes.append(outcome)
        row = await settle(call, outcome) if at == "after" else None
        if len(outcomes) == 1:
            stop_server()
            if at != "while":
                await asyncio.sleep(0)
        return row or await settle(call, outcome)

    monkeypatch.setattr(metering, "settle", settle_when_cancelled)
    gateway.use(budget_usd=1)
    mock.script = reply(chat(10, 5))
    if is_stream:
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        mock.script = stream(content("Hi"), stop(), chunk({"choices": [], "usage": usage}), DONE)
    with open_call(gateway, {"stream": is_stream}) as sock:
        while sock.recv(65536):
            pass
    row = settled_row(gateway)
    assert (row.usage_status, row.input_tokens, row.output_tokens) == ("settled", 10, 5)
    assert len(outcomes) == 2
    assert (gateway.pending, gateway.left) == (0, 1 - row.cost)
    [sums] = DailyUsage.objects.filter(project_id=gateway.project.id)
    assert (sums.entries, sums.cost) == (1, row.cost)


def test_b09_a_worker_gives_signs_of_life_whatever_fails(gateway, monkeypatch, caplog):
    """Such as a call that an older version has stored otherwise."""
    monkeypatch.setattr("gateway.worker._QUIET_SECONDS", 0.01)
    failing, went_on = [KeyError("requested_model")], threading.Event()

    def sweep() -> None:
        if failing:
            raise failing.pop()
        went_on.set()

    worker = WorkerThread()
    monkeypatch.setattr(worker, "sweep", sweep)
    worker.start()
    assert went_on.wait(10)
    worker.stop()
    assert "KeyError: 'requested_model'" in caplog.text


def test_b09_call_of_a_worker_that_went_on_is_corrected(gateway, mock):
    """It could not reach the database for some seconds, as another one's host could."""
    sent, goes_on = threading.Event(), threading.Event()

    async def script(request, writer) -> None:
        sent.set()
        while not goes_on.is_set():
            await asyncio.sleep(0.005)
        await reply(chat(1000, 200))(request, writer)

    mock.script = script
    gateway.use(budget_usd=1)
    seconds = 0
    worker = WorkerThread(lambda: seconds)
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(gateway.chat, max_tokens=1000)
        assert sent.wait(10)
        worker.beat()
        seconds = 6
        worker.sweep()
        assert (gateway.row.usage_status, gateway.row.error) == ("unknown", "worker_lost")
        goes_on.set()
        assert answer.result().status_code == 200

    replacement = UsageLog.objects.get(entry_type="replacement")
    # 1000 * 0.15 + 200 * 0.60, per million
    assert (replacement.input_tokens, replacement.cost) == (1000, Decimal("0.00027"))
    assert (replacement.usage_status, replacement.correction_author) == ("settled", "gateway")
    assert gateway.left == 1 - Decimal("0.00027")
    assert Call.objects.count() == 0
