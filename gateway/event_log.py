"""The event log: one JSON line for each call, in the rotated file of LOG_FILE.

Lines are queued and written by a thread, many at a time: a call costs microseconds,
and no event loop waits for a disk or for another process's lock.
Source: docs/gateway.md, section "Event log".
"""

import logging
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Condition, Event
from typing import Any

from django.conf import settings

from core import json_writer
from core.process_thread import ProcessThread
from core.redaction import without_secrets

MAX_QUEUED = 20_000  # lines in memory, if a disk hangs
_PAUSE = 0.05  # seconds, in which lines gather
_MAX_BATCH = 200  # lines by which a file may become larger than LOG_MAX_SIZE_MB
logger = logging.getLogger(__name__)
_calls = logging.getLogger("llmring.calls")


def write(call: Mapping[str, Any]) -> None:
    """Queue the line of a finished call; nothing without LOG_FILE. Never waits.

    The members are written as they are, after `time` and `event`: ids, names, counts and
    amounts. Texts of prompts and answers, and secrets, are no part of it.
    """
    if settings.LOG_FILE is not None:
        _writer.start()
        _writer.put(json_writer.dumps({"time": datetime.now(UTC), "event": "call", **call}))


def close() -> None:
    """Write what is queued, and end the thread of this process."""
    _writer.close()


class _Writer(ProcessThread):
    name = "event-log"

    def __init__(self) -> None:
        super().__init__()
        self.prepare()

    def prepare(self) -> None:
        self._lines: deque[bytes] = deque()
        self._changed = Condition()
        self._closing = Event()
        self._dropped = 0

    def put(self, line: bytes) -> None:
        with self._changed:
            if len(self._lines) >= MAX_QUEUED:
                self._dropped += 1
                return
            self._lines.append(line)
            self._changed.notify()

    def run(self) -> None:
        while lines := self._take():
            _calls.info("%s", without_secrets(b"\n".join(lines).decode()))
            self._closing.wait(_PAUSE)
            if self._dropped:
                logger.error("%d lines of the event log were dropped", self._dropped)
                self._dropped = 0

    def close(self) -> None:
        if not self.is_running:
            return
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self.join()

    def _take(self) -> list[bytes]:
        """Wait for lines and return them; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing.is_set())
            return [self._lines.popleft() for _ in range(min(len(self._lines), _MAX_BATCH))]


_writer = _Writer()
