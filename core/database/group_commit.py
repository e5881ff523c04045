"""Group commit: requests that arrive together share one statement and one commit.

One task per event loop writes the pending items; items that arrive meanwhile form the next
group. A single item is written at once; the callers of the last group are waited for
(core/database/group_gathering.py). A caller returns only after the commit that contains its
item, and a failure of any kind reaches every caller of the group.

No library does this, and it gives two to four times the requests per second. A writer has
one connection of its own in each process, however many requests wait.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakSet

import psycopg
from django.db import connection, transaction
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName, QueryCanceled

from core import bridge
from core.database.group_gathering import Gathering
from core.database.loop_connection import LoopConnection
from core.database.lost_connections import OPERATIONAL
from core.database.prepared_cursor import numbered
from core.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

# Larger groups are no faster, and delay their first members.
MAX_GROUP = 256
MAX_ATTEMPTS = 3

# A group's rows are found by their keys. A plan made while a table was empty would scan it for
# every group, with all the dead rows of calls that have ended.
_OPTIONS = "-c enable_seqscan=off"

# Runs one statement with text parameters, and returns its rows.
Execute = Callable[[str, Sequence[str]], Awaitable[list[tuple]]]
Store = Callable[[Execute, list], Awaitable[Sequence]]

_writers: "WeakSet[GroupWriter]" = WeakSet()
_observers: list[Callable[[int, float], None]] = []


def observe(observer: Callable[[int, float], None]) -> None:
    """Call the observer after each group, with its size and the seconds it took."""
    _observers.append(observer)


async def close_writers() -> None:
    """Close the running loop's connections of all writers."""
    for writer in [*_writers]:
        await writer.close()


class GroupWriter:
    """Writes items through `await store(execute, items)`, which runs one statement for all.

    `store` returns an outcome for each item, in order. Its statement may be repeated after a
    lost connection, and must then skip what was committed.
    """

    def __init__(self, store: Store) -> None:
        _writers.add(self)
        self._store = store
        # By loop: a forked child has another one, and never uses its parent's connection.
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}
        self._latest: tuple[asyncio.AbstractEventLoop | None, _Queue | None] = (None, None)

    async def write(self, item: object) -> object:
        """Store the item durably and return its outcome.

        In a thread's transaction (`bridge.run`) the item becomes part of it.
        Raises DatabaseUnavailable, or the database's error about this one item.
        """
        if bridge.is_inline():
            with transaction.atomic():
                [outcome] = await self._store(_execute_in_transaction, [item])
            return outcome
        return await self._queue().write(item)

    async def close(self) -> None:
        """Close the running loop's connection; the next item opens another."""
        queue = self._queues.pop(asyncio.get_running_loop(), None)
        self._latest = (None, None)
        if queue is not None:
            await queue.close()

    def _queue(self) -> "_Queue":
        loop = asyncio.get_running_loop()
        known, queue = self._latest  # cheaper than a look-up
        if loop is not known:
            if (queue := self._queues.get(loop)) is None:
                queue = self._queues[loop] = _Queue(self._store, loop)
            self._latest = (loop, queue)
        return queue


class _Pending:
    """An item in the queue and the caller that waits for it."""

    __slots__ = ("future", "item")

    def __init__(self, item: object, future: asyncio.Future) -> None:
        self.item = item
        self.future = future

    def fail(self, error: Exception | type[Exception]) -> None:
        if not self.future.done():  # its caller may have been cancelled
            self.future.set_exception(error)


class _Queue:
    """What waits on one event loop, the task that writes it, and the task's connection."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop  # asyncio.get_running_loop() is a system call
        self._pending: deque[_Pending] = deque()
        self._gathering = Gathering(self._pending, loop)
        self._task: asyncio.Task | None = None
        self._connection: LoopConnection | None = None
        self._prepares = True

    async def write(self, item: object) -> object:
        pending = _Pending(item, self._loop.create_future())
        self._pending.append(pending)
        self._gathering.joined()
        if self._task is None:
            self._start()
        return await pending.future

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def _start(self) -> None:
        self._task = self._loop.create_task(self._write_pending())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()):
            logger.error("group writer ended", exc_info=error)
        if self._pending:  # the task was killed
            self._start()

    async def _write_pending(self) -> None:
        while self._pending:
            await self._gathering.complete()
            size = min(len(self._pending), MAX_GROUP)
            group = [self._pending.popleft() for _ in range(size)]
            started = time.perf_counter()
            try:
                await self._write(group)
            finally:
                # Also if the task was killed or the process exits: no caller may believe it stored.
                for pending in group:
                    pending.fail(DatabaseUnavailable)  # the class: rarely needed
                for observer in _observers:
                    observer(size, time.perf_counter() - started)
            self._gathering.answered(size)

    async def _write(self, group: list[_Pending]) -> None:
        try:
            outcomes = await self._attempt([pending.item for pending in group])
        except OPERATIONAL:
            for pending in group:
                pending.fail(DatabaseUnavailable())
        except Exception as error:
            if len(group) == 1 or not isinstance(error, psycopg.Error):
                for pending in group:
                    pending.fail(error)
                return
            # One item is invalid: only that one may fail.
            for pending in group:
                await self._write([pending])
        else:
            for pending, outcome in zip(group, outcomes, strict=True):
                if not pending.future.done():
                    pending.future.set_result(outcome)

    async def _attempt(self, items: list) -> Sequence:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._store(self._execute, items)
            except (InvalidSqlStatementName, DuplicatePreparedStatement):
                # An old pooler in transaction mode: each statement may reach another session.
                self._prepares = False
                await self.close()
            except QueryCanceled:
                raise  # a repetition would take as long again
            except OPERATIONAL as error:
                # A lost connection, a restarted server, a deadlock: the statement
                # can be repeated, items that were committed after all are skipped.
                if self._connection is not None and self._connection.is_broken:
                    await self.close()
                if attempt == MAX_ATTEMPTS:
                    raise
                logger.warning("group write repeated: %s", type(error).__name__)
            except psycopg.Error:
                raise
            except BaseException:
                await self.close()  # perhaps in the middle of a statement
                raise
        raise AssertionError("unreachable")

    async def _execute(self, sql: str, parameters: Sequence[str]) -> list[tuple]:
        if self._connection is None:
            self._connection = await LoopConnection.open(options=_OPTIONS)
        return await self._connection.execute(
            numbered(sql).text, [text.encode() for text in parameters], prepares=self._prepares
        )


async def _execute_in_transaction(sql: str, parameters: Sequence[str]) -> list[tuple]:
    """Run the statement on the calling thread's connection, as part of its transaction."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []
