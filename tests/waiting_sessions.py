"""Sessions of the test's database that wait for a lock."""

import time

from core.database import raw_connection

_TIMEOUT_SECONDS = 60


def waiting_sessions(count: int = 1, *, event: str | None = None) -> list[int]:
    """The process ids of the sessions that wait for a lock, once there are so many.

    `event` is the kind of lock, of any kind by default.
    """
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    with raw_connection.connect() as own:
        while time.monotonic() < deadline:
            [(pids, _)] = own.execute(
                "SELECT array_agg(pid), pg_sleep(0.02) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                " AND wait_event = coalesce(%s, wait_event)",
                [event],
            )
            if pids and len(pids) == count:
                return pids
    raise AssertionError(f"no {count} sessions wait for a lock")
