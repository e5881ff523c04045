"""stdio: the MCP server is a child process; messages are lines of its input and output."""

import atexit
import os
import select
import signal
import subprocess
import threading
import time
from contextlib import suppress
from multiprocessing.util import Finalize

import requests

from core.egress.deadlines import remaining
from mcp.client import stdio_watchdog
from mcp.client.duplex import Duplex
from mcp.client.http_transport import MAX_BYTES
from mcp.client.mcp_errors import Refused, TimedOut, Unreachable, timed_out

# The process gets these variables only: our own hold secrets.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
_WRITE_TIMEOUT_SECONDS = 5
_TERMINATE_SECONDS = 2  # between closing the input, SIGTERM and SIGKILL

_running: set[subprocess.Popen] = set()


def connect(words: list[str]) -> Duplex:
    """Start the command. Raises Refused if it cannot be started."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            bufsize=0,
            start_new_session=True,  # its own process group, to end all that it starts
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is malformed"
        raise Refused(f"The MCP server's command cannot be started: {reason}") from error
    if not _running:
        # Forked workers skip atexit handlers, but run finalizers.
        Finalize(None, _end_all, exitpriority=0)
    _running.add(process)
    stdio_watchdog.watch(process.pid)
    pipe = _Pipe(process)
    duplex = Duplex(pipe.write, pipe.close)
    threading.Thread(target=pipe.read_all, args=[duplex], name="mcp-stdio", daemon=True).start()
    return duplex


class _Pipe:
    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        # Also held to close: a closed descriptor's number may be reused at once.
        self._writing = threading.RLock()
        # A process that does not read must not block the writing thread.
        os.set_blocking(process.stdin.fileno(), False)

    def write(self, message: bytes) -> None:
        """Write one line. Raises TimedOut, or Unreachable if the process has ended."""
        seconds = _time_left(_WRITE_TIMEOUT_SECONDS)
        deadline = time.monotonic() + seconds
        if not self._writing.acquire(timeout=seconds):
            raise TimedOut("The MCP server does not read its input")
        try:
            if self._process.poll() is not None:
                self.close()
            left = memoryview(message + b"\n")
            while left:
                left = left[self._write_some(left, deadline) :]
        except (OSError, ValueError) as error:
            raise Unreachable("The MCP server has ended") from error
        finally:
            self._writing.release()

    def _write_some(self, data: memoryview, deadline: float) -> int:
        try:
            return os.write(self._process.stdin.fileno(), data)
        except BlockingIOError:
            waiting = select.poll()
            waiting.register(self._process.stdin, select.POLLOUT)
            if not waiting.poll(max(deadline - time.monotonic(), 0) * 1000):
                # Half a line may be written: nothing after it would be understood.
                self.close()
                raise TimedOut("The MCP server does not read its input") from None
            return 0

    def read_all(self, duplex: Duplex) -> None:
        """Dispatch lines until the process ends. Runs in a thread of its own."""
        line: list[bytes] = []
        size = 0
        while piece := os.read(self._process.stdout.fileno(), 2**16):
            *complete, rest = piece.split(b"\n")
            for part in complete:
                text, size = b"".join([*line, part]), size + len(part)
                duplex.received(text) if size <= MAX_BYTES else duplex.received_ends(text)
                line, size = [], 0
            line += [rest] if rest else []
            size += len(rest)
            if size > MAX_BYTES:
                del line[1:-2]  # both ends, one of which says what it answers
        self.close()
        status = self._process.wait()
        duplex.ended(Unreachable(f"The MCP server ended with status {status}"))
        self._process.stdout.close()

    def close(self) -> None:
        """End the process by closing its input, else by signals. Does not wait."""
        with self._writing, suppress(OSError):
            self._process.stdin.close()
        threading.Thread(target=self._end, name="mcp-stdio-end", daemon=True).start()

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERMINATE_SECONDS)
                break
            self._kill(number)
        self._kill(signal.SIGKILL)  # children that it left behind
        _running.discard(self._process)
        stdio_watchdog.forget(self._process.pid)

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@atexit.register
def _end_all() -> None:
    """End all processes at exit, when the threads that would do so are gone."""
    left = list(_running)
    deadline = time.monotonic() + _TERMINATE_SECONDS
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in left:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        for process in left:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0))
    stdio_watchdog.stop()


def _time_left(at_most: float) -> float:
    try:
        return remaining(at_most)
    except requests.Timeout as error:
        raise timed_out() from error
