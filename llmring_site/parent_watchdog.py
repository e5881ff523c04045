"""Ends a process with its parent, even if that was killed.

Orphaned workers would serve the port beside those of the next start.
"""

import os
import signal
import threading
import time

_POLL_SECONDS = 0.5


def watch(parent: int) -> None:
    """Stop this process gracefully once `parent` is gone."""
    threading.Thread(target=_wait, args=[parent], name="parent-watchdog", daemon=True).start()


def _wait(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
