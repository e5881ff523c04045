"""Two workers certify at once, and one of them is killed: no log twice, none half."""

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.db import connection

from core.database import raw_connection
from receipts.models import Receipt, ReceiptLog
from tests.receipts import vectors
from tests.receipts.ledger import log
from tests.waiting_sessions import waiting_sessions

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import json, sys, django
django.setup()
from uuid import UUID
from core.scoping import Caller
from receipts import batch
from receipts.schemas import GenerationRequest
caller = Caller(UUID(sys.argv[1]), UUID(sys.argv[2]))
try:
    signed, count = batch.generate(GenerationRequest(since_last_receipt=True), caller)
    print(json.dumps([count, signed.document["batch_summary"]["total_cost_exact"]]))
except batch.NoLogs:
    print(json.dumps([0, "0"]))
"""
pytestmark = [pytest.mark.usefixtures("signing"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def worker(api):
    """Starts a process that certifies what is new in our project."""
    started = []
    target = connection.settings_dict
    query = urlencode({"host": target["HOST"]})
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LLMRING_")},
        "DJANGO_SETTINGS_MODULE": "llmring_site.settings",
        "LLMRING_DATA_DIR": os.environ["LLMRING_DATA_DIR"],
        "LLMRING_DATABASE_URL": f"postgresql://{target['USER']}@/{target['NAME']}?{query}",
        "LLMRING_RECEIPTS_PRIVATE_KEY_B64": vectors.SEED,
        "LLMRING_RECEIPTS_KEY_ID": "k-2025",
    }

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(api.project.id), str(api.api_key_id)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def own(api):
    """A connection that holds what the workers wait for."""
    with raw_connection.connect() as own:
        yield own


def result(process) -> list:
    return json.loads(process.communicate(timeout=60)[0])


def certified_once(ids: list[str]) -> bool:
    linked = sorted(str(id) for id in ReceiptLog.objects.values_list("log_id", flat=True))
    return linked == sorted(ids)


@pytest.mark.slow
def test_two_workers_certify_each_log_once(api, worker, own):
    ids = [log(api, cost="0.001") for _ in range(5)]
    with own.transaction():
        own.execute("LOCK TABLE receipt_logs IN EXCLUSIVE MODE")
        both = [worker(), worker()]
        # One of them is inside, the other waits for its turn.
        waiting_sessions(1, event="relation")
        waiting_sessions(1, event="advisory")
    assert sorted(result(process) for process in both) == [[0, "0"], [5, "0.005"]]
    assert certified_once(ids)
    assert Receipt.objects.get().total_cost == Decimal("0.005")


@pytest.mark.slow
def test_a_killed_worker_leaves_nothing_and_the_next_certifies_all(api, worker, own):
    ids = [log(api, cost="0.001") for _ in range(5)]
    with own.transaction():
        # The links are written when the receipt itself is not yet.
        own.execute("LOCK TABLE receipts IN SHARE MODE")
        killed = worker()
        waiting_sessions(1, event="relation")
        other = worker()
        waiting_sessions(1, event="advisory")
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(60)
        assert not ReceiptLog.objects.exists()
    assert result(other) == [5, "0.005"]
    assert certified_once(ids)
    assert Receipt.objects.get().is_verified


@pytest.mark.slow
def test_logs_that_arrive_meanwhile_are_certified_next_time(api, worker, own):
    early = [log(api) for _ in range(2)]
    with own.transaction():
        own.execute("LOCK TABLE receipts IN SHARE MODE")
        running = worker()
        waiting_sessions(1, event="relation")
        late = log(api)
    assert result(running)[0] == 2
    reply = api.send("POST", "/api/v1/receipts/generate", {"since_last_receipt": True})
    assert reply["receipt"]["batch_summary"]["log_ids"] == [late]
    assert certified_once([*early, late])
