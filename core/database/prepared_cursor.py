"""A cursor whose statements are prepared at their first use on their connection.

Built on psycopg's `pq` and its adaptation of values: for a statement that returns a few rows,
psycopg's own cursor takes twice the processor time.
"""

import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import count
from typing import NamedTuple

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from core.database import liveness

BINARY = 1
_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_MAX_PREPARED = 100  # statements of one connection, which the server keeps in memory
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|s|%)")


class Statement(NamedTuple):
    """A statement as libpq takes it, and the names of its parameters, if they are named."""

    text: bytes
    names: tuple[str, ...]

    def values(self, params: Collection | None) -> list:
        """Return the values of the parameters, in order."""
        if isinstance(params, Mapping):
            return [params[name] for name in self.names]
        return list(params or ())


@lru_cache(maxsize=256)
def numbered(sql: str) -> Statement:
    """Return the statement with `$1`, `$2`, … instead of `%s` or `%(name)s`."""
    numbers: dict[str, int] = {}
    next_number = count(1)

    def number(match: re.Match) -> str:
        if match[0] == "%%":
            return "%"
        if match[1] is None:
            return f"${next(next_number)}"
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    return Statement(_PLACEHOLDER.sub(number, sql).encode(), tuple(numbers))


def new_name() -> bytes:
    """Return a name for a prepared statement that no other connection has.

    An old pooler in transaction mode lets two connections share a session. With numbered
    names, one would run the other's statement; an unknown name is only an error.
    """
    return secrets.token_hex(8).encode()


def check(result: PGresult, status: ConnStatus) -> PGresult:
    """Return the result if the statement succeeded; else raise psycopg.Error.

    `status` is that of the connection.
    """
    if result.status in _DONE:
        return result
    # The server's errors have an SQLSTATE. One without it is libpq's, of a lost connection, whose
    # status may be OK as long as there is something left to read.
    if status != ConnStatus.OK or not result.error_field(DiagnosticField.SQLSTATE):
        raise psycopg.OperationalError(result.get_error_message())
    raise errors.error_from_result(result)


class PreparedCursor:
    """Runs statements on a connection in autocommit mode; has the rows of the last one."""

    prepares = True  # until a pooler turns out to share sessions among connections

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._transformer = Transformer(connection)
        self._rows: Iterator[tuple] = iter(())

    def execute(self, sql: str, params: Collection | None = None) -> None:
        """Run a statement with `%s` or `%(name)s` for its parameters. Raises psycopg.Error."""
        liveness.mark_if_large(self._connection, params)
        try:
            result = self._run(sql, params)
        except (InvalidSqlStatementName, DuplicatePreparedStatement):
            # An old pooler in transaction mode; the statement itself was not run.
            PreparedCursor.prepares = False
            result = self._run(sql, params)
        self._transformer.set_pgresult(result)
        self._rows = iter(self._transformer.load_rows(0, result.ntuples, tuple))

    def fetchone(self) -> tuple | None:
        return next(self._rows, None)

    def fetchall(self) -> list[tuple]:
        return list(self._rows)

    def __iter__(self) -> Iterator[tuple]:
        return self._rows

    def _run(self, sql: str, params: Collection | None) -> PGresult:
        statement, adapt, server = numbered(sql), self._transformer, self._connection.pgconn
        values = statement.values(params)
        dumped = adapt.dump_sequence(values, [PyFormat.AUTO] * len(values))
        if PreparedCursor.prepares:
            name = self._prepared(statement.text)
            result = server.exec_prepared(name, dumped, adapt.formats, BINARY)
        else:
            result = server.exec_params(statement.text, dumped, adapt.types, adapt.formats, BINARY)
        return check(result, server.status)

    def _prepared(self, text: bytes) -> bytes:
        """Return the name of the statement, prepared for parameters of the types just adapted."""
        key, server = (text, self._transformer.types), self._connection.pgconn
        names = self._connection.__dict__.setdefault("statement_names", {})
        if (name := names.get(key)) is None:
            if len(names) >= _MAX_PREPARED:
                oldest = next(iter(names))
                server.exec_(b"DEALLOCATE " + _quoted(names.pop(oldest)))
            name = new_name()
            check(server.prepare(name, text, self._transformer.types), server.status)
            names[key] = name
        return name


def _quoted(name: bytes) -> bytes:
    return b'"' + name + b'"'
