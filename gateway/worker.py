"""The heartbeat of this process, and the settlement of calls that dead ones have left.

A worker that relays calls updates its row every second. One whose row stands still while
the database answers is dead; its calls are then written as unknown, for they may have
been billed.
"""

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from core import json_writer
from core.errors import DATABASE_AWAY, DomainError
from core.ids import uuid7
from core.process_thread import ProcessThread
from gateway import metered_calls, metering, reporting, upstreams
from gateway.background import MAX_HOURS
from gateway.models import Call, CallState, Worker

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 1
_QUIET_SECONDS = 3  # where nobody relays calls
# After so long without a heartbeat a process is dead: several beats, and a slow database.
DEAD_SECONDS = 5
IDLE_SECONDS = 60  # a worker that relays nothing for so long stops beating
_MAX_SWEPT = 200  # calls in one go
_UNPOLLED_SECONDS = 60  # between two looks for calls in the background that nobody polled

# One statement, for it runs every second beside the calls: by the ORM it took five
# milliseconds, in which they waited for the interpreter.
_SIGNS_OF_LIFE = f"""
SELECT id, seen_at FROM gateway_workers
UNION ALL  -- a process may have left calls without ever beating
SELECT DISTINCT worker_id, NULL::timestamptz FROM gateway_calls AS call
WHERE state = '{CallState.PENDING}'
    AND NOT EXISTS (SELECT FROM gateway_workers AS worker WHERE worker.id = call.worker_id)
"""
_BEAT = f"""
WITH beat AS (
    INSERT INTO gateway_workers (id, host, process_id, status)
    VALUES (%s::uuid, %s, %s::int, %s::jsonb)
    ON CONFLICT (id) DO UPDATE SET seen_at = now(), status = excluded.status
)
{_SIGNS_OF_LIFE}
"""


class WorkerThread(ProcessThread):
    """Sends the heartbeat of this process, and settles the calls of dead ones."""

    name = "gateway-worker"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self.prepare()

    def prepare(self) -> None:
        self.id = uuid7(timezone.now())
        self._used_at = self._looked_at = float("-inf")
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._seen: dict[UUID, tuple[datetime | None, float]] = {}  # heartbeat, first seen when
        self._is_beating = False

    def starts_call(self) -> None:
        """Note that this process is about to have a call under way."""
        if self._clock() - self._used_at > IDLE_SECONDS / 2:
            self._used_at = self._clock()
            self._wake.set()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.beat()
                self.sweep()
            except (*DATABASE_AWAY, DomainError) as error:
                logger.warning("gateway worker: %s", type(error).__name__)
                self._seen.clear()  # while the database was away nobody could beat
            except Exception:
                # Without heartbeats the others would take this process for dead.
                logger.exception("gateway worker failed")
            finally:
                connection.close()
            is_quiet = not (self._is_beating or self._seen)
            self._wake.wait(_QUIET_SECONDS if is_quiet else _BEAT_SECONDS)
            self._wake.clear()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._wake.set()
        self.join()

    def beat(self) -> None:
        """Write this process's heartbeat while it relays calls, and read those of all."""
        if self._clock() - self._used_at <= IDLE_SECONDS or _has_calls():
            status = json_writer.dumps({"upstreams": upstreams.status()}).decode()
            beat = _BEAT, [str(self.id), platform.node()[:255], str(os.getpid()), status]
            self._is_beating = True
        else:
            if self._is_beating:
                Worker.objects.filter(id=self.id).delete()
                self._is_beating = False
            beat = _SIGNS_OF_LIFE, []
        with connection.cursor() as cursor:
            cursor.execute(*beat)
            self._see(cursor.fetchall())

    def _see(self, signs: list[tuple[UUID, datetime | None]]) -> None:
        """Note since when the other processes have had the heartbeats that they have now."""
        now = self._clock()
        seen = self._seen
        self._seen = {
            id: seen[id] if id in seen and seen[id][0] == sign else (sign, now)
            for id, sign in signs
            if id != self.id
        }

    def sweep(self) -> None:
        """Write the calls of dead processes, and those in the background that nobody polled.

        Take back what this process's refused calls have reserved all the same.
        """
        metering.withdraw_doubtful()
        now = self._clock()
        for worker_id, (_, since) in self._seen.items():
            if now - since <= DEAD_SECONDS:
                continue
            pending = Call.objects.filter(worker_id=worker_id, state=CallState.PENDING)
            if not _write_unknown(pending):
                Worker.objects.filter(id=worker_id).delete()
        if now - self._looked_at >= _UNPOLLED_SECONDS:
            too_old = timezone.now() - timedelta(hours=MAX_HOURS)
            unpolled = Call.objects.filter(state=CallState.BACKGROUND, started_at__lt=too_old)
            if _write_unknown(unpolled) < _MAX_SWEPT:
                self._looked_at = now


def _write_unknown(calls) -> int:
    """Write calls as unknown; return how many there were."""
    rows = [metered_calls.unknown_row(call) for call in calls[:_MAX_SWEPT]]
    if rows:
        for row in metering.settle_lost(rows):
            reporting.settled(row, request_id=None)
        logger.warning("%d calls are unknown: %s", len(rows), rows[0].columns["error"])
    return len(rows)


def _has_calls() -> bool:
    return any(state["in_flight"] for state in upstreams.status().values())


worker = WorkerThread()
