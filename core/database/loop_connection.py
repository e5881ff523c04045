"""A connection whose statements run on the event loop, one after the other.

Built on psycopg's `pq`: psycopg's own cursor registers the socket with the loop for each
statement, which takes two to three times the processor time of a short one.
"""

import asyncio
import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from django.conf import settings
from psycopg import AsyncConnection, OperationalError
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus
from psycopg.pq.abc import PGresult

from core.database import raw_connection
from core.database.lost_connections import UNABLE
from core.database.prepared_cursor import BINARY, check, new_name

# Beyond the statement timeout, which the server keeps itself. A session that is silent for longer
# does not answer at all: its process was stopped, or what lies in between has lost the reply.
_SILENCE_SECONDS = 5


class LoopConnection:
    """A connection in autocommit mode, used by one task at a time and only on its loop."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._pq = connection.pgconn
        self._socket = self._pq.socket
        self._transformer = Transformer(connection)
        self._loop = asyncio.get_running_loop()
        self._names: dict[bytes, bytes] = {}
        self._result: PGresult | None = None
        self._answer: asyncio.Future[PGresult] | None = None
        self._is_lost = False
        self._arrivals = select.poll()
        self._arrivals.register(self._socket, select.POLLIN)
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def open(cls, *, options: str = "") -> Self:
        """Connect to the database of the settings. Raises psycopg.OperationalError."""
        return cls(await raw_connection.connect_async(options=options))

    @property
    def is_broken(self) -> bool:
        return self._is_lost or self._pq.status != ConnStatus.OK

    async def execute(
        self, sql: bytes, parameters: Sequence[bytes], *, prepares: bool
    ) -> list[tuple]:
        """Run a statement, with `$1` for its first parameter; return its rows.

        Unless `prepares` is false, prepare it at its first use. Raises psycopg.Error. After
        any other exception the connection has to be closed.
        """
        if self.is_broken:
            raise OperationalError("the connection is lost")
        if prepares:
            name = self._names.get(sql) or await self._prepare(sql)
            self._pq.send_query_prepared(name, parameters, result_format=BINARY)
        else:
            self._pq.send_query_params(sql, parameters, result_format=BINARY)
        result = await self._next_result()
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def close(self) -> None:
        """Close the connection. A statement that is running raises OperationalError."""
        self._lose(OperationalError("the connection was closed"))
        await self._connection.close()

    async def _prepare(self, sql: bytes) -> bytes:
        name = new_name()
        self._pq.send_prepare(name, sql)
        await self._next_result()
        self._names[sql] = name
        return name

    async def _next_result(self) -> PGresult:
        """Send the statement that libpq has buffered, and return its result."""
        self._answer = self._loop.create_future()
        limit = settings.STATEMENT_TIMEOUT_SECONDS + _SILENCE_SECONDS
        silence = self._loop.call_later(limit, self._give_up)
        try:
            if self._pq.flush():
                self._loop.add_writer(self._socket, self._write)
            return check(await self._answer, self._pq.status)
        except UNABLE:
            self._is_lost = True  # to its user: a new connection may reach another server
            raise
        finally:
            silence.cancel()

    def _write(self) -> None:
        try:
            if not self._pq.flush():
                self._loop.remove_writer(self._socket)
        except OperationalError as error:
            self._lose(error)

    def _read(self) -> None:
        """Read all that has arrived.

        libuv reports a socket with an error, as of a server that ended without having read
        everything, only once (see its `uv_poll_start`).
        """
        try:
            self._take()
            while self._arrivals.poll(0):
                self._take()
        except OperationalError as error:
            self._lose(error)

    def _take(self) -> None:
        self._pq.consume_input()
        if self._answer is None:  # such as a notice
            return
        while not self._pq.is_busy():
            if (result := self._pq.get_result()) is None:
                self._finish()
                return
            self._result = result

    def _finish(self) -> None:
        answer, self._answer = self._answer, None
        result, self._result = self._result, None
        if not answer.done():  # its task may have been cancelled
            answer.set_result(result)

    def _give_up(self) -> None:
        self._lose(OperationalError("no answer came"))

    def _lose(self, error: OperationalError) -> None:
        self._is_lost = True
        self._forget_socket()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def _forget_socket(self) -> None:
        """Stop watching the socket: once closed, its number may be used for another file."""
        if self._socket is not None:
            # libpq may have closed it: where asyncio's own loop watched both ways, it raises, and
            # then watches neither.
            with suppress(OSError):
                self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None
