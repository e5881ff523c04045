"""This server, started with its own command."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from bench.postgres import Postgres
from bench.processes import free_port, running, wait_for
from bench.request import READER_KEY, post
from bench.side import Side

WORKERS = 2
BATCH = 5000


@contextmanager
def our_server(*, registry_url: str, scratch: Path) -> Iterator[Side]:
    """This checkout's server with two workers, without Redis, on a database of its own."""
    port, log = free_port(), scratch / "ours.log"
    command = [Path(sys.executable).with_name("llmring-server"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", str(WORKERS)]
    postgres = Postgres()
    env = {
        "LLMRING_DATABASE_URL": postgres.url,
        "LLMRING_REGISTRY_BASE_URL": registry_url,
        "LLMRING_DATA_DIR": str(scratch / "data"),
    }
    with running(command, log=log, env=env) as pid:
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/health", pid=pid, log=log)
        yield Side(name="ours", url=url, pid=pid, postgres=postgres, store=log_batches)


def log_batches(side: Side, rows: Iterable[dict]) -> None:
    """Log rows of the past through the batch route, as an importing client would."""
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        logs = [row | {"timestamp": row["created_at"]} for row in batch]
        side.call(post("/api/v1/log/batch", {"logs": logs}, api_key=READER_KEY))
