"""When keys were last used: noted in memory by requests, written by a thread.

A key's time is written at most once a minute by all processes together. It has a table of its
own, because every change of api_keys empties the key caches of all workers.
"""

import logging
import time
from uuid import UUID

from django.db import connection

from core.background_rounds import run_round
from core.process_thread import ProcessThread

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60  # between two writes for one key
_TICK_SECONDS = 5
_MAX_KEYS = 100_000  # whose last times are remembered

_noted: set[UUID] = set()
_written_at: dict[UUID, float] = {}


def note(key_id: UUID) -> None:
    """Note a use of a key. Called for every request: adds to a set."""
    _noted.add(key_id)


def write(*, now: float | None = None) -> int:
    """Write the uses of keys that are due; return how many. `now` is a time.monotonic().

    A use that cannot be written is lost.
    """
    now = time.monotonic() if now is None else now
    due = [
        key_id
        for key_id in _noted.copy()
        if now - _written_at.get(key_id, float("-inf")) >= INTERVAL_SECONDS
    ]
    if not due:
        return 0
    _noted.difference_update(due)
    with connection.cursor() as cursor:
        # Sorted, so that two processes that write the same keys do not deadlock.
        cursor.execute(
            """
            INSERT INTO key_uses (key_id, last_used_at)
            SELECT id, now() FROM api_keys WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE
            ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
            WHERE key_uses.last_used_at <= excluded.last_used_at - make_interval(secs => %s)
            """,
            [due, INTERVAL_SECONDS],
        )
    if len(_written_at) > _MAX_KEYS:
        _written_at.clear()
    _written_at.update(dict.fromkeys(due, now))
    return len(due)


class UseWriter(ProcessThread):
    name = "key-uses"

    def prepare(self) -> None:
        _noted.clear()
        _written_at.clear()

    def run(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            self.poll()

    def poll(self) -> None:
        """Run one round; no exception propagates."""
        run_round(write, logger=logger, failed="uses of keys were not written")


writer = UseWriter()
