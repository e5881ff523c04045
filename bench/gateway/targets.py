"""The targets of loads: the mock upstream, this server in front of it, and LiteLLM."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from yaml import safe_dump

from bench.gateway import mock
from bench.ours import our_server
from bench.postgres import Postgres
from bench.processes import free_port, printed_port, running, wait_for
from bench.side import Side

# Its dependencies are not pinned; the report names the installed version.
LITELLM = "litellm[proxy]==1.108.7"
MASTER_KEY = "sk-bench-litellm-0123456789"
_OWN_KEY = "sk-upstream-of-{}"
# Limits that are checked at every call, and that no run reaches.
_TOKEN = """
from accounts.models import Project
from gateway import tokens
project = Project.objects.create(name="bench")
limits = dict(max_requests=10**12, requests_per_minute=10**9, budget_usd=10**9)
print(tokens.issue(project, expires_at=None, allowed_models=["gpt-4o*"], **limits)[1])
"""


@dataclass(frozen=True)
class Target:
    """A server of chats. `pids` are the processes whose CPU time a call takes."""

    name: str
    url: str
    token: str
    pid: int | None = None
    postgres: Postgres | None = None
    side: Side | None = None

    @property
    def pids(self) -> list[int]:
        return [pid for pid in (self.pid, self.postgres and self.postgres.pid) if pid]


@contextmanager
def mock_upstream(scratch: Path) -> Iterator[str]:
    """Yield the base address of the mock."""
    log = scratch / "mock.log"
    with running([sys.executable, "-m", mock.__name__], log=log, env=_import_path()) as pid:
        yield f"http://127.0.0.1:{printed_port(pid=pid, log=log)}"


def counted(mock_url: str, target: Target) -> dict[str, int]:
    """Return the calls of a target that the mock has counted, and their tokens."""
    counts = requests.get(mock_url + "/counts", timeout=10).json()
    none = {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0}
    return counts.get(_OWN_KEY.format(target.name), none)


def stored(target: Target) -> dict[str, int]:
    """Return the calls in our ledger, and their tokens."""
    query = "SELECT count(*), sum(input_tokens), sum(output_tokens) FROM llmring.usage_logs"
    row = target.postgres.connection.execute(f"{query} WHERE upstream IS NOT NULL").fetchone()
    return dict(zip(("calls", "prompt_tokens", "completion_tokens"), map(int, row), strict=True))


@contextmanager
def gateway(*, workers: int, mock_url: str, registry_url: str, scratch: Path) -> Iterator[Target]:
    """Yield this server, with a token that has a budget and limits."""
    name = f"ours-{workers}w"
    variables = {"OPENAI_API_URL": f"{mock_url}/v1", "OPENAI_API_KEY": _OWN_KEY.format(name)}
    arguments = {"registry_url": registry_url, "scratch": scratch, "name": name}
    with our_server(**arguments, workers=workers, **variables) as side:
        program = Path(sys.executable).parent / "llmring-server"
        made = subprocess.run(
            [program, "manage", "shell", "--no-imports", "-c", _TOKEN],
            env={
                **_import_path(),
                "LLMRING_DATABASE_URL": side.postgres.url,
                "LLMRING_DATA_DIR": str(scratch / f"{name}.data"),
            },
            check=True,
            capture_output=True,
            text=True,
        )
        token = made.stdout.split()[-1]
        yield Target(name, f"{side.url}/v1", token, side.pid, side.postgres, side)


@contextmanager
def litellm(*, workers: int, programs: Path, mock_url: str, scratch: Path) -> Iterator[Target]:
    """Yield LiteLLM's proxy, set up as documented for production, without a database."""
    name, port = f"litellm-{workers}w", free_port()
    log = scratch / f"{name}.log"
    config = scratch / f"{name}.yaml"
    config.write_text(safe_dump(_config(f"{mock_url}/v1", _OWN_KEY.format(name))))
    command = [programs / "litellm", "--config", config, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", str(workers), "--telemetry", "False"]
    env = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # not fetched at start
    }
    with running(command, log=log, env=env) as pid:
        wait_for(f"http://127.0.0.1:{port}/health/liveliness", pid=pid, log=log, seconds=120)
        yield Target(name, f"http://127.0.0.1:{port}/v1", MASTER_KEY, pid)


def _config(base_url: str, key: str) -> dict:
    upstream = {"model": "openai/gpt-4o-mini", "api_base": base_url, "api_key": key}
    return {
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": upstream}],
        "general_settings": {"master_key": MASTER_KEY},
        "litellm_settings": {"set_verbose": False, "json_logs": False},
    }


def litellm_version(programs: Path) -> str:
    code = "import json, importlib.metadata as m; print(json.dumps(m.version('litellm')))"
    found = subprocess.run([programs / "python", "-c", code], capture_output=True, check=True)
    return json.loads(found.stdout)


def _import_path() -> dict[str, str]:
    """Return the variable by which a child process in another directory imports this checkout."""
    return {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
