"""The console scripts `llmring-server` and `llmring-db`, and manage.py."""

import argparse
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.conf import settings
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from llmring_site import closed_output, metrics_files, serving, startup, termination
from llmring_site.env import NOT_UTF_8
from llmring_site.sockets import bind_all

ENVIRONMENTS = ("test", "dev", "prod")
# Commands of Django and ours that start no database.
_WITHOUT_DATABASE = {
    "check",
    "collectstatic",
    "diffsettings",
    "findstatic",
    "generatereceiptkey",
    "help",
    "sendtestemail",
    "spectacular",
    "startapp",
    "version",
}

# The wheel with the embedded PostgreSQL has them; they work with older servers too.
_PROGRAMS = {"psql": "psql", "dump": "pg_dump", "restore": "pg_restore"}


def server(arguments: list[str] | None = None) -> None:
    """`llmring-server [serve] [options]`; `db …` is `llmring-db …`, `manage …` is manage.py."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command, rest = arguments[:1], arguments[1:]
    if command == ["db"]:
        return database(rest)
    if command == ["health"]:
        sys.exit(_check_health(rest))
    if command == ["manage"]:
        return manage(["llmring-server manage", *rest])
    if command == ["serve"]:
        arguments = rest
    parser = argparse.ArgumentParser(
        "llmring-server",
        description="Run LLMRing Server.",
        epilog="Also: `llmring-server db …` (see llmring-db --help), `llmring-server manage …` "
        "for keys, imports and Django's commands (see llmring-server manage help), and "
        "`llmring-server health`, which fails when the server of these settings is not healthy.",
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (%(default)s)")
    _add_port(parser)
    parser.add_argument(
        "--workers",
        type=_not_empty,
        help="worker processes (LLMRING_WORKERS, else one per core, as far as connections allow)",
    )
    parser.add_argument("--reload", action="store_true", help="restart when a source file changes")
    _add_env(parser)
    parser.add_argument("--version", action="version", version=_version())
    options = parser.parse_args(arguments)
    _set_port(options)
    if options.workers is not None:
        os.environ["LLMRING_WORKERS"] = options.workers
    _deny_writes_of_others()
    with termination.cleaning_up(), startup.exit_on_config_error():
        _check_env(options.env)
        sys.exit(_serve(options.host, reload=options.reload))


def _deny_writes_of_others() -> None:
    """Let no other account write to what is made here, whatever the umask: keys are part of it."""
    os.umask(os.umask(0) | stat.S_IWOTH)


@contextmanager
def _command() -> Iterator[None]:
    """Run a command: clean up at its end, and print its operator's errors as one line."""
    _deny_writes_of_others()
    with (
        termination.cleaning_up(),
        startup.exit_on_config_error(),
        closed_output.exit_when_closed(),
    ):
        yield


def database(arguments: list[str] | None = None) -> None:
    """`llmring-db migrate|status|url|psql|dump|restore`."""
    parser = argparse.ArgumentParser(
        "llmring-db",
        description="Manage the database.",
        epilog="psql, dump and restore are PostgreSQL's psql, pg_dump and pg_restore, connected to "
        "the database, and take their options.",
    )
    parser.add_argument("command", choices=["migrate", "status", "url", *_PROGRAMS])
    parser.add_argument(
        "--with-password", action="store_true", help="url: print the password as part of it"
    )
    _add_env(parser)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in _PROGRAMS:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    with _command():
        _check_env(options.env)
        from llmring_site.database_report import address, print_status

        if options.command == "url":
            print(address(with_password=options.with_password))
            return
        if options.command == "migrate":
            startup.check_settings()
        startup.use_database()
        startup.set_up()
        if options.command in _PROGRAMS:
            sys.exit(_run_program(_PROGRAMS[options.command], rest))
        if options.command == "migrate":
            startup.prepare()
        else:
            startup.require_database()
        sys.exit(0 if print_status() else 1)


def _run_program(name: str, arguments: list[str]) -> int:
    from llmring_site.database_report import address

    # Not on the command line, which every user of this machine can read.
    password = settings.DATABASES["default"].get("PASSWORD", "")
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    command = [_program(name), f"--dbname={address()}", *arguments]
    return subprocess.run(command, env=environment).returncode


def _program(name: str) -> str:
    """Return the program's path: the wheel's, which has no TLS, or else the system's."""
    from core.database.embedded_files import PROGRAMS

    if not startup.is_encrypted():
        return str(PROGRAMS / "bin" / name)
    if found := shutil.which(name):
        return found
    raise startup.StartupError(
        f"the connection to the database is encrypted, which needs a {name} of PostgreSQL's own "
        "packages (Debian: postgresql-client): install it, or run one elsewhere on the address "
        "that `llmring-db url --with-password` prints"
    )


def manage(arguments: list[str] | None = None) -> None:
    """Run one of Django's commands or ours, with the database when it needs one."""
    from django.core.management import execute_from_command_line

    arguments = sys.argv if arguments is None else arguments
    with _command():
        _check_arguments(arguments[1:])
        startup.use_settings()
        if _needs_database(arguments[1:]):
            _run_database()
            startup.set_up()
            startup.require_database()
        # Locked like a starting server: two at once would create the same tables.
        is_migrating = arguments[1:2] == ["migrate"]
        with startup.migration_lock() if is_migrating else nullcontext():
            execute_from_command_line(arguments)


def _run_database() -> None:
    """Run the database, unless the settings are refused. What follows prints their warnings.

    The child of a reloader checks them where an edit that breaks the code is reported, and the
    next one waited for.
    """
    if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
        startup.check_settings(with_warnings=False)
    startup.use_database()


def _check_arguments(arguments: list[str]) -> None:
    """Raise StartupError for an argument that is not UTF-8, unless it names a file."""
    for argument in arguments:
        if re.search(NOT_UTF_8, argument) and not os.path.exists(argument):
            raise startup.StartupError(f"arguments must be text in UTF-8, got {argument!r}")


def _needs_database(arguments: list[str]) -> bool:
    if not arguments or {"-h", "--help", "--version"} & set(arguments):
        return False
    return arguments[0] not in _WITHOUT_DATABASE or "--database" in arguments


def _add_port(
    parser: argparse.ArgumentParser, default: str = "LLMRING_HTTP_PORT, else 8000"
) -> None:
    parser.add_argument("--port", type=_not_empty, help=f"port where it listens ({default})")


def _not_empty(value: str) -> str:
    """Return the value, which settings.py validates; an empty one would mean its default."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return value


def _set_port(options: argparse.Namespace) -> None:
    """Set the variable from which settings.py reads the port."""
    if options.port is not None:
        os.environ["LLMRING_HTTP_PORT"] = options.port


def _add_env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env",
        choices=ENVIRONMENTS,
        default="dev",
        help="prod requires LLMRING_DATABASE_URL (%(default)s)",
    )


def _check_env(name: str) -> None:
    startup.use_settings()
    if name == "prod" and not settings.DATABASE_URL:
        raise startup.StartupError("LLMRING_DATABASE_URL must be set with --env prod")


def _check_health(arguments: list[str]) -> str | None:
    """Return why the configured server on this machine is not healthy, or None."""
    from http.client import HTTPConnection, HTTPException

    parser = argparse.ArgumentParser(
        "llmring-server health", description="Fail unless the server on this machine is healthy."
    )
    parser.add_argument("--host", help="where it listens (LISTEN_ADDR, else 127.0.0.1)")
    _add_port(parser, "LISTEN_ADDR, else LLMRING_HTTP_PORT, else 8000")
    options = parser.parse_args(arguments)
    _set_port(options)
    with startup.exit_on_config_error():
        startup.use_settings()
        host, port = options.host or "127.0.0.1", settings.HTTP_PORT
        if settings.LISTEN_ADDR and options.host is None and options.port is None:
            host, port = settings.LISTEN_ADDR  # where `llm-proxy server` listens alone
        headers = {"Host": "localhost"}  # allowed whatever LLMRING_ALLOWED_HOSTS is
        server = HTTPConnection(host.strip("[]"), port, timeout=5)
        try:
            server.request("GET", "/health", headers=headers)
            response = server.getresponse()
        except (OSError, HTTPException) as error:
            return f"unhealthy: {host} port {port}: {error}"
        body = response.read(2_000).decode(errors="replace")
        return None if response.status == 200 else f"unhealthy: {response.status} {body}"


def _version() -> str:
    import importlib.metadata

    return importlib.metadata.version("llmring-server")


def _serve(host: str, *, reload: bool) -> int:
    startup.use_settings()
    sockets = bind_all([(host, settings.HTTP_PORT), settings.LISTEN_ADDR])
    if reload:
        _run_database()
        return serving.serve_reloading(sockets)
    metrics_files.prepare(settings.DATA_DIR, settings.HTTP_PORT)
    try:
        startup.check_settings()  # before a database is made
        startup.use_database()
        startup.prepare()
        return serving.serve_forked(sockets, workers=settings.WORKERS)
    finally:
        metrics_files.remove()


if __name__ == "__main__":
    server()
