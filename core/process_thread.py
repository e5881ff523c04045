"""A background thread of each serving process, forked or not."""

import os
import threading


class ProcessThread:
    """Runs `run()` in a daemon thread, at most once in each process.

    The object may be made before a fork: the thread belongs to the process that starts it.
    """

    name = "background"

    def __init__(self) -> None:
        self._pid: int | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the thread, unless this process has done so already."""
        if self.is_running:
            return
        with self._starting:
            if self.is_running:
                return
            self.prepare()
            self._thread = threading.Thread(target=self.run, name=self.name, daemon=True)
            self._thread.start()
            self._pid = os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether this process has started the thread."""
        return self._pid == os.getpid()

    def join(self) -> None:
        """Wait until the thread has ended; `start` then starts another."""
        self._thread.join()
        self._pid = None

    def prepare(self) -> None:
        """Reset the state that a parent process may have left in the object."""

    def run(self) -> None:
        raise NotImplementedError
