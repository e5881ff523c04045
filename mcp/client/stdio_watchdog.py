"""End stdio servers when this process is killed and cannot do so itself.

A watchdog process reads from a pipe which process groups there are; the end of the
pipe means that this process is gone. It is started with the first server.
"""

import os
import subprocess
import sys
import threading
from contextlib import suppress

# Lines are "+GROUP" and "-GROUP".
_SCRIPT = """
import os, signal, sys, time
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for number in (signal.SIGTERM, signal.SIGKILL) if groups else ():
    for group in groups:
        try:
            os.killpg(group, number)
        except OSError:
            pass
    time.sleep(1)
"""

_lock = threading.Lock()
_watchdog: subprocess.Popen | None = None
_owner = 0  # the process that started it: a forked one needs its own


def watch(group: int) -> None:
    """End the process group when this process ends."""
    _send(f"+{group}\n")


def forget(group: int) -> None:
    """Leave the group alone: it has ended, and its number may be used again."""
    _send(f"-{group}\n")


def stop() -> None:
    """Let the watchdog end, when this process ends in order."""
    with _lock:
        if _watchdog is not None and _owner == os.getpid():
            _watchdog.communicate()


def _send(line: str) -> None:
    global _watchdog, _owner
    with _lock, suppress(OSError):
        if _watchdog is None or _owner != os.getpid():
            _owner = os.getpid()
            _watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        _watchdog.stdin.write(line.encode())
        _watchdog.stdin.flush()
