"""Runs `atexit` functions, such as the one that stops PostgreSQL, when a signal ends a program.

By default SIGTERM, SIGHUP (a closed terminal) and SIGQUIT (Ctrl-\\) end a process at once, and
would leave the embedded PostgreSQL running.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Other servers reopen their logs at these. Ours need not, and by default would end.
_WITHOUT_EFFECT = (signal.SIGUSR1, signal.SIGUSR2)
_RESEND_SECONDS = 0.05


class Terminated(SystemExit):
    """A signal ends the program."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)  # as shells report it
        self.number = number


@contextmanager
def cleaning_up() -> Iterator[None]:
    """End by the received signal, without a traceback, after the `atexit` functions.

    Signals that are ignored (`nohup`) stay ignored.
    """
    handlers = dict.fromkeys(_SIGNALS, _terminate) | dict.fromkeys(_WITHOUT_EFFECT, _pass)
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, handlers[number])
    hook, sys.unraisablehook = sys.unraisablehook, _resend_swallowed
    last = _Last()
    try:
        yield
    except Terminated as error:
        last.number = error.number
        raise
    except KeyboardInterrupt:
        last.number = signal.SIGINT
        raise Terminated(signal.SIGINT) from None
    finally:
        sys.unraisablehook = hook
        if last.number is None:
            atexit.unregister(last)
        for number, handler in before.items():
            # Further signals must not interrupt the clean-up.
            signal.signal(number, handler if last.number is None else signal.SIG_IGN)
        if last.number is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Last:
    """The first `atexit` function, and so called last: ends the process by the signal.

    With an exit status instead, systemd would report a failure, and a shell would go on with
    its loop.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        atexit.register(self)

    def __call__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)


def _terminate(number: int, frame) -> None:
    raise Terminated(number)


def _resend_swallowed(unraisable) -> None:
    """Send a signal again that arrived during a finalizer or weakref callback.

    Python only reports exceptions raised there: the program would go on.
    """
    match unraisable.exc_value:
        case Terminated(number=number):
            pass
        case KeyboardInterrupt():
            number = signal.SIGINT
        case _:
            sys.__unraisablehook__(unraisable)
            return
    # Later: raised here, it would be swallowed as well.
    threading.Timer(_RESEND_SECONDS, os.kill, (os.getpid(), number)).start()


def _pass(number: int, frame) -> None:
    """Do nothing. Unlike SIG_IGN, a handler is not inherited by programs that we start."""
