"""The operating system account of the embedded PostgreSQL, and what it can reach.

PostgreSQL refuses to run as root. If we are root, it runs as an account of its own, which
cannot enter directories that are closed to others, such as root's home. Permissions of
directories are never changed: files that the account could not reach go below `SYSTEM_DIR`.
"""

import importlib.metadata
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCOUNT = "pgserver"
SYSTEM_DIR = Path("/var/lib/llmring")
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # not on the PATH of cron and of `su`
_CREATE_COMMANDS = (
    ["useradd", "--system", "--no-create-home", ACCOUNT],
    ["adduser", "-S", "-D", "-H", ACCOUNT],  # BusyBox
)


class AccountError(RuntimeError):
    """No account can run PostgreSQL; the message says how to create one."""


def server_account() -> pwd.struct_passwd | None:
    """Return the account for PostgreSQL, created if missing; None unless we are root.

    Raises AccountError.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        _create_account()
        return pwd.getpwnam(ACCOUNT)


def run_as(account: pwd.struct_passwd | None) -> dict:
    """Return the keyword arguments with which `subprocess` runs a program as this account."""
    if account is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def closed_parents(path: Path) -> list[Path]:
    """Return the directories above `path` that PostgreSQL's account cannot enter."""
    if os.geteuid() != 0:
        return []
    existing = [parent for parent in reversed(path.parents) if parent.exists()]
    return [parent for parent in existing if not parent.stat().st_mode & stat.S_IXOTH]


def reachable_copy(programs: Path) -> Path:
    """Return the directory of programs if the account can reach it, else a copy.

    `programs` is inside the wheel's package, whose libraries are copied too.
    """
    if not closed_parents(programs / "bin"):
        return programs
    package = programs.parent
    place = SYSTEM_DIR / f"{package.name}-{importlib.metadata.version(package.name)}"
    if not place.exists():
        SYSTEM_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="copying-", dir=SYSTEM_DIR))
        for directory in (programs, package / ".dylibs", Path(f"{package}.libs")):
            if directory.exists():
                target = draft / directory.relative_to(package.parent)
                shutil.copytree(directory, target, symlinks=True)
        draft.chmod(0o755)
        try:
            draft.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return place / programs.relative_to(package.parent)


@contextmanager
def environment_for_initdb() -> Iterator[dict[str, str]]:
    """Yield the environment of `initdb`, which requires that its user has a name.

    A container may run under any user id. There `libnss_wrapper` provides a name, as in
    PostgreSQL's own images. Raises AccountError if it is not installed.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        pass
    else:
        yield dict(os.environ)
        return
    wrapper = next(Path("/usr/lib").glob("**/libnss_wrapper.so"), None)
    if wrapper is None:
        raise AccountError(
            f"user id {os.geteuid()} has no entry in /etc/passwd, which initdb needs: add one, "
            "install libnss-wrapper, or set LLMRING_DATABASE_URL to a database of your own"
        )
    with tempfile.TemporaryDirectory() as folder:
        passwd, group = Path(folder, "passwd"), Path(folder, "group")
        passwd.write_text(f"llmring:x:{os.geteuid()}:{os.getegid()}::/:/bin/false\n")
        group.write_text(f"llmring:x:{os.getegid()}:\n")
        yield os.environ | {
            "LD_PRELOAD": str(wrapper),
            "NSS_WRAPPER_PASSWD": str(passwd),
            "NSS_WRAPPER_GROUP": str(group),
        }


def _create_account() -> None:
    path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    reason = "neither useradd nor adduser was found"
    for program, *arguments in _CREATE_COMMANDS:
        if command := shutil.which(program, path=path):
            done = subprocess.run([command, *arguments], capture_output=True, text=True)
            if done.returncode == 0:
                return
            reason = " ".join(done.stderr.split())
    raise AccountError(
        f"PostgreSQL refuses to run as root, and the account {ACCOUNT} for it could not be made "
        f"({reason}): run `useradd --system {ACCOUNT}`, start the server as another user, or set "
        "LLMRING_DATABASE_URL to a database of your own"
    )
