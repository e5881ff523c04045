"""The console scripts `llmring-server` and `llmring-db`."""

import argparse
import os
import sys

from llmring_site import serving, startup


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
        sys.exit(_serve(chosen.host, reload=chosen.reload))


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


def _serve(host: str, *, reload: bool) -> int:
    startup.use_settings()
    from django.conf import settings

    sockets = serving.bind(host, settings.HTTP_PORT)
    startup.use_database()
    if reload:
        return serving.serve_reloading(sockets)
    startup.make_ready()
    return serving.serve_forked(sockets, workers=settings.WORKERS)


if __name__ == "__main__":
    server()
