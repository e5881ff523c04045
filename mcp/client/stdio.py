"""stdio: the MCP server is a process of ours; messages are lines of its input and output."""

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
from mcp.client.duplex import Duplex
from mcp.client.errors import ProtocolViolation, Refused, TimedOut, Unreachable
from mcp.client.http import MAX_BYTES

# What the process needs to know of our environment; our own secrets are not in it.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
_WRITE_SECONDS = 5  # unless less is left of the caller's time
_PATIENCE = 2  # seconds between asking the process to end and making it

_running: set[subprocess.Popen] = set()


def connect(words: list[str]) -> Duplex:
    """Starts the command. Raises Refused if it cannot be started."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            bufsize=0,
            start_new_session=True,  # a group of its own: it ends with all it started
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is malformed"
        raise Refused(f"The MCP server's command cannot be started: {reason}") from error
    if not _running:
        # Forked workers leave without atexit, but not without this.
        Finalize(None, _end_all, exitpriority=0)
    _running.add(process)
    pipe = _Pipe(process)
    duplex = Duplex(pipe.write, pipe.close)
    threading.Thread(target=pipe.read_all, args=[duplex], name="mcp-stdio", daemon=True).start()
    return duplex


class _Pipe:
    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        # Also held to close: the number of a closed file may soon be another file's.
        self._writing = threading.RLock()
        # A process that does not read must not hold up the thread that writes to it.
        os.set_blocking(process.stdin.fileno(), False)

    def write(self, message: bytes) -> None:
        """Raises TimedOut, or Unreachable when nobody reads any more."""
        seconds = _left(_WRITE_SECONDS)
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
                # Half a line may be written: nothing that follows would be understood.
                self.close()
                raise TimedOut("The MCP server does not read its input") from None
            return 0

    def read_all(self, duplex: Duplex) -> None:
        """Runs in a thread of its own until the process ends."""
        line: list[bytes] = []
        size = 0
        while size <= MAX_BYTES and (piece := os.read(self._process.stdout.fileno(), 2**16)):
            *whole, rest = piece.split(b"\n")
            for part in whole:
                duplex.received(b"".join([*line, part]))
                line, size = [], 0
            line.append(rest)
            size += len(rest)
        self.close()
        status = self._process.wait()
        if size > MAX_BYTES:
            duplex.ended(ProtocolViolation(f"The answer is longer than {MAX_BYTES} bytes"))
        else:
            duplex.ended(Unreachable(f"The MCP server ended with status {status}"))
        self._process.stdout.close()

    def close(self) -> None:
        """Ends the process: by the end of its input, else by signals. Does not wait for it."""
        with self._writing, suppress(OSError):
            self._process.stdin.close()
        threading.Thread(target=self._end, name="mcp-stdio-end", daemon=True).start()

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
                break
            self._kill(number)
        self._kill(signal.SIGKILL)  # whatever it started and left behind
        _running.discard(self._process)

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@atexit.register
def _end_all() -> None:
    """At the end of this process: the threads that would do it are gone, or about to."""
    left = list(_running)
    deadline = time.monotonic() + _PATIENCE
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in left:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        for process in left:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0))


def _left(at_most: float) -> float:
    try:
        return remaining(at_most)
    except requests.Timeout as error:
        raise TimedOut("The MCP server did not answer in time") from error
