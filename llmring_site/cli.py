"""The console scripts `llmring-server` and `llmring-db`."""

import argparse
import gc
import io
import os
import sys
from _thread import start_new_thread
from pathlib import Path

from llmring_site import parent_watchdog as lifeline
from llmring_site import startup


def server(arguments: list[str] | None = None) -> None:
    """`llmring-server [serve] [options]`, and `llmring-server db …` for `llmring-db …`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["db"]:
        return database(arguments[1:])
    if arguments[:1] == ["serve"]:
        arguments = arguments[1:]
    parser = argparse.ArgumentParser("llmring-server", description="Run LLMRing Server.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, help="port to listen on (LLMRING_HTTP_PORT, else 8000)")
    parser.add_argument(
        "--workers", type=int, help="worker processes (LLMRING_WORKERS, else cores)"
    )
    parser.add_argument("--reload", action="store_true", help="restart when a source file changes")
    _add_env(parser)
    chosen = parser.parse_args(arguments)
    # Settings read variables; what the command line says is handed on as such.
    if chosen.port is not None:
        os.environ["LLMRING_HTTP_PORT"] = str(chosen.port)
    if chosen.workers is not None:
        os.environ["LLMRING_WORKERS"] = str(chosen.workers)
    with startup.exit_on_config_error():
        _check_env(chosen.env)
        _serve(chosen.host, reload=chosen.reload)


def database(arguments: list[str] | None = None) -> None:
    """`llmring-db migrate|status|url`."""
    parser = argparse.ArgumentParser("llmring-db", description="Look after the database.")
    parser.add_argument("command", choices=["migrate", "status", "url"])
    _add_env(parser)
    chosen = parser.parse_args(arguments)
    with startup.exit_on_config_error():
        _check_env(chosen.env)
        if chosen.command == "url":
            startup.use_settings()
            from llmring_site.database_report import address

            print(address())
            return
        startup.use_database()
        import django

        django.setup()
        if chosen.command == "migrate":
            startup.prepare()
        from llmring_site.database_report import print_status

        sys.exit(0 if print_status() else 1)


def _add_env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env",
        choices=["test", "dev", "prod"],
        default="dev",
        help="prod insists on LLMRING_DATABASE_URL (%(default)s)",
    )


def _check_env(name: str) -> None:
    if name == "prod" and not os.environ.get("LLMRING_DATABASE_URL"):
        raise startup.NotStarted("LLMRING_DATABASE_URL must be set with --env prod")


def _serve(host: str, *, reload: bool) -> None:
    startup.use_database()
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    call_command("check", fail_level="ERROR", stdout=io.StringIO())  # silent when all is well
    startup.prepare()

    from granian import Granian
    from granian.constants import Interfaces, RuntimeModes

    class Server(Granian):
        def signal_handler_interrupt(self, *args) -> None:
            # Granian's takes a lock that the interrupted code may hold: a signal that comes
            # twice, as Ctrl-C does under `uv run`, would stop it for good, and not us.
            start_new_thread(super().signal_handler_interrupt, ())

    lifeline.begin()
    # Workers are forked: what is loaded by now stays shared as long as the garbage
    # collector, which writes to everything it looks at, leaves it alone.
    gc.collect()
    gc.freeze()
    Server(
        "llmring_site.wsgi:application",
        address=host,
        port=settings.HTTP_PORT,
        interface=Interfaces.WSGI,
        workers=settings.WORKERS,
        # Threads that wait for the database or an upstream: bounded, and cheap while idle.
        blocking_threads=64,
        runtime_mode=RuntimeModes.st,
        backlog=2048,
        websockets=False,
        log_dictconfig=settings.LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=30,  # seconds for running requests after SIGTERM
        reload=reload,
        reload_paths=[Path(__file__).resolve().parent.parent] if reload else None,
        process_name=None,
    ).serve()


if __name__ == "__main__":
    server()
