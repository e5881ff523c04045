"""Forked workers, restarted until the process is stopped."""

import logging
import os
import signal
import time
import traceback
from collections.abc import Callable

from llmring_site import parent_watchdog

logger = logging.getLogger(__name__)

# Blocked and awaited with sigwait: no code is interrupted, and no signal is lost.
_SIGNALS = {
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGALRM,
}
_GRACE_SECONDS = 35  # for the workers to finish their requests; they give up after 30
_QUICK_SECONDS = 2  # a worker that ended sooner never served
_MAX_QUICK_ENDS = 5


class Supervisor:
    """Runs `work(slot)` in each of `count` forked processes, replacing those that end.

    The slots are numbered from 0; a process gets the slot of the one that it replaces.
    `ended` is called in the parent with the id of each process that has ended.
    """

    def __init__(
        self, work: Callable[[int], None], *, count: int, ended: Callable[[int], None]
    ) -> None:
        self._work = work
        self._count = count
        self._ended = ended
        self._workers: dict[int, tuple[int, float]] = {}  # process id: slot, time of its start
        self._quick_ends = 0
        self._is_stopping = False

    def run(self) -> int:
        """Run until stopped; return the exit status once all workers have ended."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # some systems discard it without a handler
        is_detached = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as by `nohup`
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._start_missing()
            while self._workers or not self._is_stopping:
                match signal.sigwait(_SIGNALS):
                    case signal.SIGCHLD:
                        self._reap()
                    case signal.SIGALRM if self._is_stopping:
                        self._signal_all(signal.SIGKILL)
                    case signal.SIGALRM:
                        self._start_missing()
                    case signal.SIGHUP if is_detached:
                        pass
                    case _:
                        self._stop()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return 1 if self._quick_ends >= _MAX_QUICK_ENDS else 0

    def _start_missing(self) -> None:
        taken = {slot for slot, _ in self._workers.values()}
        for slot in set(range(self._count)) - taken:
            parent = os.getpid()
            if (pid := os.fork()) == 0:
                self._run_worker(parent, slot)
            self._workers[pid] = slot, time.monotonic()
            logger.info("worker %d of %d started", slot + 1, self._count)

    def _run_worker(self, parent: int, slot: int) -> None:
        """Never returns."""
        status = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGHUP, signal.SIGQUIT):  # sent by a terminal to all processes
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            parent_watchdog.watch(parent)
            self._work(slot)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)  # `atexit` functions are the parent's

    def _reap(self) -> None:
        for pid in [*self._workers]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            self._ended(pid)
            _, started = self._workers.pop(pid)
            is_quick = time.monotonic() - started < _QUICK_SECONDS
            if self._is_stopping:
                continue
            self._quick_ends = self._quick_ends + 1 if is_quick else 0
            logger.error("worker %d ended: %s", pid, _describe(status))
        if not self._is_stopping and len(self._workers) < self._count:
            self._replace()

    def _replace(self) -> None:
        if self._quick_ends >= _MAX_QUICK_ENDS:
            logger.error("workers end as soon as they start: giving up")
            self._stop()
        elif self._quick_ends:
            signal.alarm(1)
        else:
            self._start_missing()

    def _stop(self) -> None:
        self._is_stopping = True
        self._signal_all(signal.SIGTERM)
        signal.alarm(_GRACE_SECONDS)

    def _signal_all(self, number: int) -> None:
        for pid in self._workers:  # not reaped yet, so no other process has the id
            os.kill(pid, number)


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit status {code}"
