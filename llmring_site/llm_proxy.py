"""The console script `llm-proxy`: the server as llm-proxy starts it, and its commands."""

import argparse
import os
import sys
from pathlib import Path

from gateway import cli as commands
from llmring_site import cli, env_addresses, startup
from llmring_site.env_file import load_env_file

_LISTEN_ADDR = ":8080"  # where llm-proxy's clients look
_LOG_LEVELS = {"warn": "warning"}


def main(arguments: list[str] | None = None) -> None:
    """`llm-proxy [server [options] | manage … | openai chat …]`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] == "server":
        _serve(arguments[1:])
    else:
        _load_env_file(Path.cwd() / ".env")
        sys.exit(commands.main(arguments))


def _serve(arguments: list[str]) -> None:
    """Run llmring-server, with its options and llm-proxy's.

    It listens at llm-proxy's address alone: an operator who names a loopback address does not
    mean all networks, and port 8000 may be in use. With --host, --port or LLMRING_HTTP_PORT it
    listens at llmring-server's address too.
    """
    parser = argparse.ArgumentParser("llm-proxy server")
    parser.add_argument(
        "--addr",
        metavar="[HOST]:PORT",
        help=f"address to listen on (LISTEN_ADDR, else {_LISTEN_ADDR})",
    )
    parser.add_argument("--host", help="listen at llmring-server's port of this address too")
    parser.add_argument("--port", help="listen at this port too (LLMRING_HTTP_PORT)")
    parser.add_argument("-c", "--config", help="the upstreams' YAML file (API_CONFIG_PATH)")
    parser.add_argument(
        "--env",
        metavar="FILE",
        help="variables, which win over those of .env in the working directory",
    )
    parser.add_argument("--db", help="accepted, without effect: the database is PostgreSQL")
    levels = parser.add_mutually_exclusive_group()
    levels.add_argument("--log-level", help="debug, info, warn or error (LOG_LEVEL)")
    levels.add_argument(
        "-v",
        "--debug",
        action="store_const",
        const="debug",
        dest="log_level",
        help="as --log-level debug",
    )
    parser.add_argument("--log-file", help="file for the log (LOG_FILE)")
    parser.epilog = "The options of `llmring-server` are taken too: see llmring-server --help."
    options, rest = parser.parse_known_args(arguments)
    if options.env in cli.ENVIRONMENTS:  # of llmring-server
        rest += _option("--env", options.env)
    elif options.env is not None:
        if not Path(options.env).is_file():
            parser.error(f"argument --env: there is no file {options.env!r}")
        _load_env_file(Path(options.env))
    _load_env_file(Path.cwd() / ".env")
    default = _bracketed(options.host or "") + _LISTEN_ADDR
    os.environ["LISTEN_ADDR"] = options.addr or os.environ.get("LISTEN_ADDR") or default
    if options.log_level:
        os.environ["LLMRING_LOG_LEVEL"] = _log_level(options.log_level)
    elif level := os.environ.get("LOG_LEVEL"):
        os.environ.setdefault("LLMRING_LOG_LEVEL", _log_level(level))
    for name, value in (("LOG_FILE", options.log_file), ("API_CONFIG_PATH", options.config)):
        if value:
            os.environ[name] = value
    host, port = options.host, options.port
    if host is None and port is None and not os.environ.get("LLMRING_HTTP_PORT"):
        with startup.exit_on_config_error():
            host, number = env_addresses.listen_address("LISTEN_ADDR")
        port = str(number)
    own = [*_option("--host", host), *_option("--port", port)]
    cli.server(["serve", *own, *rest])


def _load_env_file(path: Path) -> None:
    """Add a file's variables to the environment, where they are not set."""
    with startup.exit_on_config_error():
        load_env_file(path)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _option(name: str, value: str | None) -> list[str]:
    return [] if value is None else [f"{name}={value}"]


def _log_level(name: str) -> str:
    return _LOG_LEVELS.get(name.lower(), name.lower())


if __name__ == "__main__":
    main()
