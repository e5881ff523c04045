"""Signals that end a program (llmring_site/termination.py)."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import atexit, os, threading, weakref
from llmring_site import termination

class Thing:
    pass

def callback(_):
    os.kill(os.getpid(), {number})

with termination.cleaning_up():
    atexit.register(print, "cleaned up", flush=True)
    thing = Thing()
    reference = weakref.ref(thing, callback)
    del thing  # what the signal's handler raises is swallowed here
    threading.Event().wait(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_signal_during_a_weakref_callback_ends_the_program(number):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(number=int(number))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-number, "cleaned up\n", "")
