"""Workers end when the main process wants them to, and with it, also when it was killed.

Orphans would go on serving the port beside the workers of the next start.
"""

import os
import signal
import threading
import time

_SECONDS = 0.5

# The process that forks the workers; None under other servers.
main_process: int | None = None


_ENDING = (signal.SIGTERM, signal.SIGINT)


def begin() -> None:
    """In the main process, before it forks."""
    global main_process
    main_process = os.getpid()
    # A worker is born with the main process's handlers, which only note a signal: told to
    # stop before it has its own, it would never hear of it, and be waited for in vain.
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_die_when_told)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _die_when_told() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    _release()


def watch() -> None:
    """In a worker: stop gracefully once the main process is gone."""
    if main_process not in (None, os.getpid()):
        threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    while os.getppid() == main_process:
        time.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
