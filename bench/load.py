"""One bounded sample of load, made by wrk."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.request import Request

SCRIPT = Path(__file__).with_name("request.lua")


@dataclass(frozen=True)
class Load:
    """wrk's results of one sample. `answered` counts only answers below 400."""

    answered: int
    refused: int  # answers of 400 and above
    broken: int  # connections that failed, broke or timed out
    seconds: float
    p50_ms: float
    p99_ms: float


def run_wrk(request: Request, *, url: str, connections: int, seconds: int) -> Load:
    """Send `request` over `connections` keep-alive connections, each waiting for its answer."""
    environment = {**os.environ, "BENCH_METHOD": request.method, "BENCH_API_KEY": request.api_key}
    with tempfile.NamedTemporaryFile(prefix="llmring-bench-body-") as body:
        if request.body is not None:
            body.write(request.body)
            body.flush()
            environment["BENCH_BODY_FILE"] = body.name
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "15s"]
        output = subprocess.run(
            [*command, "-s", str(SCRIPT), url + request.path],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        ).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return read_result(json.loads(line.removeprefix("RESULT ")))


def read_result(result: dict[str, int]) -> Load:
    return Load(
        answered=result["requests"] - result["refused"],
        refused=result["refused"],
        broken=result["broken"],
        seconds=result["duration_us"] / 1e6,
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
    )
