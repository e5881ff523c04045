"""Programs that are told to end do what `atexit` has for them, such as stopping PostgreSQL.

By default SIGTERM, SIGHUP (of a closed terminal) and SIGQUIT (of Ctrl-\\) end a process at
once, and the embedded PostgreSQL is left running.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# By which other servers are told to open their logs anew. We need not be, and by default
# would end at once.
_WITHOUT_EFFECT = (signal.SIGUSR1, signal.SIGUSR2)
_RESEND_SECONDS = 0.05


class Terminated(SystemExit):
    """A signal came that ends the program."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)  # as shells report it
        self.number = number


@contextmanager
def cleaning_up() -> Iterator[None]:
    """End by the signal that came, without a traceback, after what is registered at exit.

    What was told to be ignored (`nohup`) stays so.
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
            # Once is enough: the end is not to be interrupted.
            signal.signal(number, handler if last.number is None else signal.SIG_IGN)
        if last.number is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Last:
    """Registered before all others, and so called last: ends the process by the signal.

    An exit status would be a failure in the eyes of systemd, and no reason for a shell
    to leave its loop.
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
    """Send a signal again that came during a finalizer or weakref callback.

    Python only reports what these raise: the program would go on.
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
    """Do nothing; unlike what is ignored, this is not handed on to programs that we start."""
