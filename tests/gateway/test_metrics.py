"""`/metrics`: text for Prometheus, figures as JSON, sums over all workers (rows 12 and 26)."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics
from gateway.breaker import BreakerState
from tests.client import ApiClient
from tests.server import Server

pytestmark = pytest.mark.django_db


def samples(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(path: str = "/metrics") -> dict[str, float]:
    response = ApiClient().get(path)
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "# TYPE llmring_request_duration_seconds histogram" in response.text
    return samples(response.text)


def test_totals_rise_by_what_calls_report(db_all):
    before = scrape()

    metrics.requests("test-up", "chat.completions", "2xx")
    metrics.requests("test-up", "chat.completions", "5xx")
    metrics.errors("test-up", "timeout")
    metrics.duration("test-up", 0.7)
    metrics.first_byte("test-up", 0.2)
    metrics.tokens("test-up", input=100, output=20)
    metrics.cost("test-up", Decimal("0.00024"))
    metrics.streams("test-up").inc()
    metrics.breaker("test-up", BreakerState.HALF_OPEN)
    metrics.group_commit(3, 0.002)

    after = scrape("/metrics/prometheus")
    up = "('upstream', 'test-up')"
    route = "('route', 'chat.completions')"
    assert after[f"llmring_requests_total[{route}, ('status', '2xx'), {up}]"] == 1
    assert after[f"llmring_requests_total[{route}, ('status', '5xx'), {up}]"] == 1
    assert after[f"llmring_errors_total[('kind', 'timeout'), {up}]"] == 1
    assert after[f"llmring_request_duration_seconds_bucket[('le', '0.5'), {up}]"] == 0
    assert after[f"llmring_request_duration_seconds_bucket[('le', '1.0'), {up}]"] == 1
    assert after[f"llmring_first_byte_seconds_sum[{up}]"] == 0.2
    assert after[f"llmring_tokens_total[('direction', 'input'), {up}]"] == 100
    assert after[f"llmring_tokens_total[('direction', 'output'), {up}]"] == 20
    assert after[f"llmring_cost_dollars_total[{up}]"] == 0.00024
    assert after[f"llmring_streams[{up}]"] == 1
    assert after[f"llmring_breaker_state[{up}]"] == 1
    assert after["llm_proxy_requests_total[]"] == before["llm_proxy_requests_total[]"] + 2
    metrics.streams("test-up").dec()


def test_group_commits_are_observed(api):
    before = scrape()["llmring_group_commit_size_count[]"]
    metrics.group_commit(1, 0.001)
    assert scrape()["llmring_group_commit_size_count[]"] == before + 1


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/plain;q=0.5"])
def test_json_to_who_asks_for_it(db_all, accept):
    response = ApiClient().get("/metrics", headers={"Accept": accept})
    assert response.headers["Content-Type"] == "application/json"
    figures = response.json()
    assert figures["request_count"] == scrape()["llm_proxy_requests_total[]"]
    assert figures["uptime_seconds"] > 0
    assert set(figures) == {
        *("uptime_seconds", "request_count", "error_count"),
        *("cache_hits", "cache_misses", "cache_bypass", "cache_stores"),
    }


def test_openmetrics_to_prometheus(db_all):
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    response = ApiClient().get("/metrics", headers={"Accept": accept})
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_only_safe_methods(db_all):
    client = ApiClient(enforce_csrf_checks=True)  # as every other client
    for path in ("/metrics", "/metrics/prometheus"):
        for method in ("POST", "PUT", "DELETE"):
            refused = client.generic(method, path)
            assert (refused.status_code, refused.json()) == (405, {"detail": "Method Not Allowed"})
            assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert ApiClient().get("/metrics/", headers={"Accept": "*/*"}).status_code == 200


_WORKERS = """
import os, sys
from llmring_site import metrics_files
metrics_files.prepare(__import__("pathlib").Path(sys.argv[1]), 8000)
from gateway import metrics
metrics.requests("up", "chat", "2xx")  # by the process that forks
def work(calls):
    metrics.streams("up").inc()
    for _ in range(calls):
        metrics.requests("up", "chat", "2xx")
    os._exit(0)
pids = []
for calls in (2, 3):
    pid = os.fork()
    if not pid:
        work(calls)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
print(metrics.as_json()["request_count"])
text = metrics.as_text()[0].decode()
print([line for line in text.splitlines() if line.startswith("llmring_streams{")])
metrics_files.forget(pids[0])
text = metrics.as_text()[0].decode()
print([line for line in text.splitlines() if line.startswith("llmring_streams{")])
print(float(metrics.as_json()["uptime_seconds"]) < 60)
metrics_files.remove()
"""


def _run(script: str, data_dir: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", script, str(data_dir)],
        capture_output=True,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "llmring_site.settings"},
    )


@pytest.mark.parametrize("data_dir", [".", "made-later"])
def test_workers_are_summed_and_the_dead_have_no_streams(tmp_path, data_dir):
    """Also at a first start, when the data directory is still to be made, with its permissions."""
    done = _run(_WORKERS, tmp_path / data_dir)
    assert done.stdout.splitlines() == [
        "6",
        "['llmring_streams{upstream=\"up\"} 2.0']",
        "['llmring_streams{upstream=\"up\"} 1.0']",
        "True",
    ], done.stderr
    assert not [*tmp_path.iterdir()]


def test_metrics_that_were_imported_too_early_are_noticed(tmp_path):
    """Each worker would count for itself alone."""
    early = "from gateway import metrics" + _WORKERS
    assert "was imported before its directory" in _run(early, tmp_path).stderr


_COUNTING_SERVER = """
import os, sys
from llmring_site import metrics_files
metrics_files.prepare(__import__("pathlib").Path(sys.argv[1]), 8000)
from gateway import metrics
print("ready", flush=True)
for line in sys.stdin:
    if not os.fork():  # a worker, which begins files of its own
        metrics.requests("up", "chat", "2xx")
        os._exit(0)
    os.wait()
    print(metrics.as_json()["request_count"], flush=True)
metrics_files.remove()
"""


@pytest.fixture
def counting_server(tmp_path):
    """Starts processes that count a call for each line that they are sent, all as port 8000."""
    started = []

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", _COUNTING_SERVER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "llmring_site.settings"},
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _count(server: subprocess.Popen) -> str:
    server.stdin.write("\n")
    server.stdin.flush()
    return server.stdout.readline().strip()


def test_servers_of_one_port_and_data_directory_count_apart(counting_server, tmp_path):
    """As those of two containers, or one that finds its port in use and ends."""
    first = counting_server()
    assert _count(first) == "1"
    second = counting_server()
    assert (_count(first), _count(second)) == ("2", "1")
    second.communicate()
    assert _count(first) == "3"
    first.communicate()
    assert not (tmp_path / "metrics").exists()


def test_files_of_a_killed_server_are_deleted_by_the_next(counting_server, tmp_path):
    killed = counting_server()
    assert _count(killed) == "1"
    killed.kill()
    killed.wait()
    running = counting_server()
    assert _count(running) == "1"
    assert len([*(tmp_path / "metrics").iterdir()]) == 1
    running.communicate()


@pytest.mark.servers
def test_any_worker_answers_for_all_also_for_one_that_was_killed(data_dir, tmp_path):
    """Rows are written in groups: the sum of their sizes is the number of logs."""
    log = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    file = tmp_path / "server.log"

    def written(server: Server) -> float:
        text = requests.get(f"{server.url}/metrics", timeout=30).text
        return samples(text)["llmring_group_commit_size_sum[]"]

    with Server(data_dir, LLMRING_WORKERS="2", LOG_FILE=str(file)) as server:
        headers = {"X-API-Key": server.key}
        for number in range(1, 21):
            # Each on a connection of its own: either worker may get it.
            requests.post(f"{server.url}/api/v1/log", json=log, headers=headers, timeout=30)
            assert written(server) == number
        [victim, _] = server.workers()
        victim.kill()
        victim.wait(30)
        requests.post(f"{server.url}/api/v1/log", json=log, headers=headers, timeout=30)
        assert {written(server) for _ in range(8)} == {21}
        assert server.stop() == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert any("signal 9" in line["event"] for line in lines)
    assert not (tmp_path / "data" / "metrics").exists()
