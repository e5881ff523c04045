"""Workers end with the main process, also when it was killed without a chance to tell them.

Orphans would go on serving the port beside the workers of the next start.
"""

import os
import signal
import threading
import time

_SECONDS = 0.5

# The process that forks the workers, set before it does; None under other servers.
main_process: int | None = None


def watch() -> None:
    """In a worker: stop gracefully once the main process is gone."""
    if main_process not in (None, os.getpid()):
        threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    while os.getppid() == main_process:
        time.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
