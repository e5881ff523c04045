"""LOG_FILE: a JSON line for each call, rotated; several processes may write (rows 28 and 29)."""

import asyncio
import json
import logging.config
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import DatabaseUnavailable
from core.redaction import without_secrets
from gateway import background, call_relay, event_log, metered_calls, metering, response_cache
from gateway.models import Call
from gateway.worker import WorkerThread
from llmring_site.log_config import logging_settings
from llmring_site.log_file import RotatedFile
from tests.gateway.calls import within_a_second
from tests.gateway.test_metrics import samples
from tests.gateway.upstream import chat, in_turn, reply

TOKEN = "sk-AaH7kq2mXw9LrTz4Vb8hDC"


def lines(file: Path) -> list[dict]:
    """Those of the file and of its older parts, oldest first."""
    older = sorted(file.parent.glob(f"{file.name}.*"), key=lambda path: -int(path.suffix[1:]))
    return [json.loads(line) for path in (*older, file) for line in path.read_text().splitlines()]


@pytest.fixture
def log_file(tmp_path, settings):
    """LOG_FILE, as a server has it that was started with it."""
    file = tmp_path / "server.log"
    config = logging_settings(
        level="info", format="console", file=file, max_bytes=1024 * 1024, backups=5
    )
    logging.config.dictConfig({**config, "root": {**config["root"], "handlers": ["own"]}})
    settings.LOG_FILE = file
    yield file
    event_log.close()
    logging.config.dictConfig(settings.LOGGING)


def test_call_is_one_line_beside_the_servers_own(log_file):
    event_log.write({"id": "0193", "model": "gpt-4o", "cost": 0.5, "status": 200})
    event_log.close()
    logging.getLogger("llmring.test").warning("key %s refused", TOKEN)

    call, own = lines(log_file)

    assert call.pop("time").endswith("Z")
    assert call == {"event": "call", "id": "0193", "model": "gpt-4o", "cost": 0.5, "status": 200}
    assert (own["event"], own["level"]) == ("key sk-… refused", "warning")
    event_log.write({"id": "0194"})  # another thread takes over
    event_log.close()
    assert lines(log_file)[2]["id"] == "0194"


def test_folder_that_vanishes_is_reported_once_and_used_again(log_file, monkeypatch, capsys):
    monkeypatch.setattr(RotatedFile, "_silent_until", float("-inf"))
    folder = log_file.parent
    logging.getLogger("llmring.test").warning("before")
    moved = folder.rename(folder.with_name(f"{folder.name}-moved"))
    for number in range(3):
        logging.getLogger("llmring.test").warning("meanwhile %d", number)
        event_log.write({"id": "lost"})
    event_log.close()
    error, *own = capsys.readouterr().err.splitlines()
    assert error.startswith("error: LOG_FILE cannot be written ([Errno 2] ")
    assert [json.loads(line)["event"] for line in own] == [f"meanwhile {n}" for n in range(3)]
    folder.mkdir()
    logging.getLogger("llmring.test").warning("after")
    event_log.write({"id": "kept"})
    event_log.close()
    assert [line.get("id") or line["event"] for line in lines(log_file)] == ["after", "kept"]
    assert [line["event"] for line in lines(moved / log_file.name)] == ["before"]
    assert capsys.readouterr().err == ""


def calls(file: Path) -> list[dict]:
    event_log.close()
    return [line for line in lines(file) if line["event"] == "call"]


def test_a_call_is_counted_and_logged_and_a_free_one_is_not(gateway, mock, log_file):
    mock.script = in_turn(reply({"data": []}), reply(chat()))
    before = samples(gateway.get("/metrics").text)
    gateway.get("/v1/models")
    gateway.chat(headers={"X-Request-ID": "the-call"})
    within_a_second(lambda: event_log.close() or log_file.exists())
    after = samples(gateway.get("/metrics").text)

    [line] = lines(log_file)
    own = (line["event"], line["id"], line["request_id"])
    assert own == ("call", str(gateway.row.id), "the-call")
    assert (line["input_tokens"], line["output_tokens"], line["usage_status"]) == (10, 5, "settled")
    up = "('upstream', 'openai')"
    for name, count in (
        (f"llmring_tokens_total[('direction', 'input'), {up}]", 10),
        (f"llmring_tokens_total[('direction', 'output'), {up}]", 5),
        (f"llmring_first_byte_seconds_count[{up}]", 1),
        # 10 * 0.15 + 5 * 0.60, per million
        (f"llmring_cost_dollars_total[{up}]", 0.0000045),
    ):
        assert after[name] - before.get(name, 0) == pytest.approx(count)


def test_a_background_call_is_counted_and_logged_by_its_poll(gateway, mock, own_key, log_file):
    own_key()
    answer = {"id": "resp_1", "object": "response", "model": "gpt-5-mini"}
    usage = {"input_tokens": 500, "output_tokens": 60, "total_tokens": 560}
    done = {**answer, "status": "completed", "usage": usage}
    mock.script = in_turn(reply({**answer, "status": "queued"}), reply(done))
    before = samples(gateway.get("/metrics").text)
    gateway.post("/v1/responses", {"model": "gpt-5-mini", "input": "x", "background": True})

    for _ in range(2):
        poll = gateway.get("/v1/responses/resp_1", headers={"X-Request-ID": "the-poll"})

    after = samples(gateway.get("/metrics").text)
    assert poll.json() == done
    [line] = calls(log_file)
    assert line["request_id"] == "the-poll"
    assert (line["id"], line["output_tokens"]) == (str(gateway.row.id), 60)
    for direction, tokens in (("input", 500), ("output", 60)):
        name = f"llmring_tokens_total[('direction', '{direction}'), ('upstream', 'openai')]"
        assert after[name] - before.get(name, 0) == tokens


def test_a_background_call_is_logged_once_whichever_worker_polls(
    gateway, mock, own_key, log_file, monkeypatch
):
    own_key()
    answer = {"id": "resp_1", "object": "response", "model": "gpt-5-mini"}
    usage = {"input_tokens": 500, "output_tokens": 60, "total_tokens": 560}
    done = {**answer, "status": "completed", "usage": usage}
    mock.script = in_turn(reply({**answer, "status": "queued"}), reply(done))
    gateway.post("/v1/responses", {"model": "gpt-5-mini", "input": "x", "background": True})
    # Two that poll at the same time find it.
    call = background._find(gateway.project.id, "openai", "resp_1")
    monkeypatch.setattr(background, "_find", lambda *key: call)

    for _ in range(2):
        gateway.get("/v1/responses/resp_1")

    [line] = calls(log_file)
    assert line["id"] == str(gateway.row.id)


def test_a_call_of_a_killed_worker_is_logged_once_whoever_finds_it(gateway, log_file):
    call = gateway.leave_call()
    seconds = 0
    workers = [WorkerThread(lambda: seconds) for _ in range(2)]
    for worker in workers:
        worker.beat()
    seconds = 6
    left = Call.objects.filter(id=call.id)
    rows = [metered_calls.unknown_row(call) for call in left]  # as two find it at the same time

    workers[0].sweep()
    assert metering.settle_lost(rows) == []
    workers[1].sweep()

    [line] = calls(log_file)
    assert (line["id"], line["error"]) == (str(gateway.row.id), "worker_lost")
    assert (line["usage_status"], line["request_id"]) == ("unknown", None)


def test_a_call_that_is_settled_later_is_logged_then(gateway, mock, log_file, monkeypatch):
    settle, away = metering.settle, [True]

    async def flaky(*args):
        if away and away.pop():
            raise DatabaseUnavailable
        return await settle(*args)

    monkeypatch.setattr(metering, "_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(metering, "settle", flaky)
    mock.script = reply(chat())

    gateway.chat(headers={"X-Request-ID": "the-call"})
    within_a_second(lambda: gateway.rows)
    within_a_second(lambda: event_log._writer.is_running)

    [line] = calls(log_file)
    assert (line["id"], line["request_id"]) == (str(gateway.row.id), "the-call")


def test_a_settled_call_keeps_its_line_though_the_server_stops(
    gateway, mock, log_file, monkeypatch
):
    """After its row was written, and before its answer is sent."""

    async def store_late(*arguments, **options):
        for task in call_relay._running:
            task.cancel()
        await asyncio.sleep(0)

    monkeypatch.setattr(response_cache, "store", store_late)
    mock.script = reply(chat())
    assert gateway.chat().json()["error"]["code"] == "server_stopped"

    assert gateway.row.usage_status == "settled"
    [line] = calls(log_file)
    assert (line["usage_status"], "error" in line) == ("settled", False)


def test_no_line_has_a_secret(log_file):
    event_log.write({"error": f"Incorrect API key provided: {TOKEN}", "key": "llmr_pk_" + "0" * 32})
    event_log.close()
    try:
        raise RuntimeError(TOKEN)
    except RuntimeError:
        logging.getLogger("llmring.test").exception("failed")
    text = log_file.read_text()
    assert TOKEN not in text and "0" * 32 not in text
    assert lines(log_file)[0]["error"] == "Incorrect API key provided: sk-…"


def test_words_that_end_in_sk_stay(settings):
    assert without_secrets("task-0123456789abcdefghij") == "task-0123456789abcdefghij"


def test_without_a_file_nothing_is_written(settings):
    settings.LOG_FILE = None
    event_log.write({"id": "0193"})
    assert not event_log._writer.is_running


def test_queue_is_bounded(log_file, monkeypatch):
    monkeypatch.setattr(event_log._writer, "start", lambda: None)
    event_log._writer.prepare()
    for number in range(event_log.MAX_QUEUED + 3):
        event_log.write({"id": number})
    assert len(event_log._writer._lines) == event_log.MAX_QUEUED
    assert event_log._writer._dropped == 3
    event_log._writer.prepare()


_WORKERS = """
import logging, os
import django
django.setup()
from gateway import event_log
pids = []
for worker in range(3):
    pid = os.fork()
    if not pid:
        for number in range(10_000):
            event_log.write({"worker": worker, "number": number, "text": "x" * 150})
            if number % 1000 == 0:
                logging.getLogger("llmring").warning("worker %d at %d", worker, number)
            if number % 5000 == 0:
                event_log.close()
        event_log.close()
        os._exit(0)
    pids.append(pid)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.slow
def test_row_28_workers_share_a_file_that_is_rotated(tmp_path):
    """3 × 10,000 lines of about 230 bytes are 6.9 MB: the file and five older ones hold 6 MB."""
    file = tmp_path / "server.log"
    done = subprocess.run(
        [sys.executable, "-c", _WORKERS],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "llmring_site.settings",
            "LOG_FILE": str(file),
            "LOG_MAX_SIZE_MB": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    parts = {path.name for path in tmp_path.glob("server.log*")}
    assert parts == {"server.log", *(f"server.log.{number}" for number in range(1, 6))}
    longest = 1024 * 1024 + 200 * 250  # and one batch
    assert all(path.stat().st_size <= longest for path in tmp_path.glob("server.log*"))
    written = lines(file)
    for worker in range(3):
        numbers = [line["number"] for line in written if line.get("worker") == worker]
        # What is missing was in the oldest parts: none is lost, doubled or out of order.
        assert numbers == [*range(10_000 - len(numbers), 10_000)]
    assert len(written) > 20_000


@pytest.mark.slow
def test_row_28_all_lines_are_kept_while_the_parts_suffice(tmp_path):
    file = tmp_path / "server.log"
    subprocess.run(
        [sys.executable, "-c", _WORKERS],
        check=True,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "llmring_site.settings",
            "LOG_FILE": str(file),
            "LOG_MAX_SIZE_MB": "1",
            "LOG_MAX_BACKUPS": "9",
        },
    )
    assert sum("number" in line for line in lines(file)) == 30_000
