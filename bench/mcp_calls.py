"""The time that this server adds to a tool's call, and what slow tools cost other requests.

The peer is the official MCP SDK: its server has the tools, and our calls are compared with those
of its client.
"""

import json
import subprocess
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Event
from time import perf_counter

import requests

from bench.environments import CACHE, ensure_environment
from bench.load import run_wrk
from bench.ours import our_server
from bench.payloads import COSTED_LOG
from bench.processes import printed_port, running
from bench.registry import served_registry
from bench.request import WRITER_KEY, post
from bench.side import Side

SDK = "mcp==2.3.0"
PEER = Path(__file__).with_name("mcp_peer.py")
SLOW_SECONDS = 2
SLOW_CALLS = 50
SLOW_SERVERS = 4  # a worker makes sixteen calls of one server at a time


@contextmanager
def sdk_server(python: str, scratch: Path) -> Iterator[str]:
    """Yield the address of the SDK's server."""
    log = scratch / "mcp.log"
    with running([python, "-P", PEER, "serve"], log=log) as pid:
        yield f"http://127.0.0.1:{printed_port(pid=pid, log=log)}/mcp"


class Client:
    """A client of our server, over one connection."""

    def __init__(self, side: Side) -> None:
        self._side, self._http = side, requests.Session()
        self._http.headers["X-API-Key"] = WRITER_KEY

    def post(self, path: str, content: dict) -> dict:
        answer = self._http.post(f"{self._side.url}/api/v1/mcp{path}", json=content, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def tools_of(self, url: str, name: str) -> dict[str, str]:
        """Register the server; return its tools' ids by name."""
        entry = {"name": name, "url": url, "transport_type": "http"}
        server = self.post("/servers", entry)
        found = self.post(f"/servers/{server['id']}/refresh", {})
        return {tool["name"]: tool["id"] for tool in found["tools"]}

    def execute(self, tool: str, arguments: dict) -> object:
        """Return what the tool answered. Raises RuntimeError with its error."""
        made = self.post(f"/tools/{tool}/execute", {"input": arguments})
        if made["error"] is not None:
            raise RuntimeError(made["error"])
        return made["output"]["structuredContent"]["result"]


def our_times(side: Side, tool: str, count: int) -> list[float]:
    """Return the milliseconds of each execution."""
    client, times = Client(side), []
    client.execute(tool, {"a": 1, "b": 2})
    for number in range(count):
        begun = perf_counter()
        answer = client.execute(tool, {"a": number, "b": 2})
        times.append((perf_counter() - begun) * 1000)
        assert answer == number + 2
    return times


def direct_times(python: str, url: str, count: int) -> list[float]:
    command = [python, "-P", str(PEER), "call", url, str(count)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


@contextmanager
def slow_calls(side: Side, tools: list[str]) -> Iterator[list[float]]:
    """Run SLOW_CALLS slow tools for the whole block; yield the seconds of each finished call."""
    ended, took = Event(), []

    def repeat(number: int) -> None:
        client = Client(side)
        while not ended.is_set():
            begun = perf_counter()
            client.execute(tools[number % len(tools)], {"seconds": SLOW_SECONDS})
            took.append(perf_counter() - begun)

    with ThreadPoolExecutor(SLOW_CALLS) as pool:
        futures = [pool.submit(repeat, number) for number in range(SLOW_CALLS)]
        ended.wait(1)  # until all are under way
        try:
            yield took
        finally:
            ended.set()
    for future in futures:
        future.result()


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.mcp_calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="of each side in a round (200)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="length of a sample of logging (4)")
    options = parser.parse_args()
    python = str(ensure_environment(CACHE / SDK, "python", SDK) / "python")
    log_call = post("/api/v1/log", COSTED_LOG)
    with (
        tempfile.TemporaryDirectory(prefix="llmring-bench-") as folder,
        served_registry(None, scratch=Path(folder)) as registry_url,
        sdk_server(python, Path(folder)) as url,
        our_server(registry_url=registry_url, scratch=Path(folder)) as side,
    ):
        add = Client(side).tools_of(url, "add")["add"]
        slow = [Client(side).tools_of(url, f"slow {n}")["slow"] for n in range(SLOW_SERVERS)]
        for _ in range(options.rounds):
            direct = median(direct_times(python, url, options.calls))
            ours = median(our_times(side, add, options.calls))
            print(f"a tool: {ours:.1f} ms here, {direct:.1f} ms direct: {ours - direct:+.1f} ms")
        for connections in (1, 16):
            for _ in range(options.rounds):
                load = {"connections": connections, "seconds": options.seconds}
                quiet = run_wrk(log_call, url=side.url, **load)
                with slow_calls(side, slow) as took:
                    beside = run_wrk(log_call, url=side.url, **load)
                rates = [each.answered / each.seconds for each in (beside, quiet)]
                print(
                    f"POST /log, c={connections}: {rates[0]:,.0f}/s beside {SLOW_CALLS} slow "
                    f"tools, {rates[1]:,.0f}/s without: {rates[0] / rates[1]:.2f}; p99 "
                    f"{beside.p99_ms:.1f} and {quiet.p99_ms:.1f} ms; "
                    f"a slow tool took {median(took):.2f} s"
                )


if __name__ == "__main__":
    main()
