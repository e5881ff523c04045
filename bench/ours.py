"""This server, or another checkout of it, started with its own command."""

import base64
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
def our_server(
    *,
    registry_url: str,
    scratch: Path,
    name: str = "ours",
    checkout: Path | None = None,
    workers: int = WORKERS,
    **variables: str,
) -> Iterator[Side]:
    """Yield a checkout's server, without Redis, on a database of its own.

    By default it is this checkout; another one has its environment in `.venv`. `variables`
    are added to the server's environment.
    """
    port, log = free_port(), scratch / f"{name}.log"
    programs = checkout / ".venv" / "bin" if checkout else Path(sys.executable).parent
    command = [programs / "llmring-server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", str(workers)]
    postgres = Postgres()
    env = {
        "LLMRING_DATABASE_URL": postgres.url,
        "LLMRING_REGISTRY_BASE_URL": registry_url,
        "LLMRING_DATA_DIR": str(scratch / f"{name}.data"),
        "LLMRING_RECEIPTS_PRIVATE_KEY_B64": base64.b64encode(bytes(range(32))).decode(),
        **variables,
    }
    with running(command, log=log, env=env) as pid:
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/health", pid=pid, log=log)
        yield Side(name=name, url=url, pid=pid, postgres=postgres, store=log_batches)


def log_batches(side: Side, rows: Iterable[dict]) -> None:
    """Log rows of the past through the batch route, as an importing client would."""
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        logs = [row | {"timestamp": row["created_at"]} for row in batch]
        side.call(post("/api/v1/log/batch", {"logs": logs}, api_key=READER_KEY))
