"""The command line of `llm-proxy`."""

import argparse
import importlib.metadata
import os
import re
from collections.abc import Callable

from gateway.cli import chat, manage

_BASE_URL = "http://localhost:8080"
_DURATION = re.compile(r"(\d{1,6})([mhd]?)", re.ASCII)
_UNITS = {"m": "duration_minutes", "h": "duration_hours", "d": "expires_in_days"}


def duration(text: str) -> dict[str, int]:
    """Return the members of the API for `24` (hours), `90m`, `24h`, `30d` or `never`."""
    if text == "never":
        return {"expires_in_days": 0}
    match = _DURATION.fullmatch(text)
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError("expected hours, or 90m, 24h, 30d, never")
    return {_UNITS[match[2] or "h"]: int(match[1])}


def base_url(text: str) -> str:
    """Return the address of a server; an empty one, as of a variable, is the default."""
    address = text.strip() or _BASE_URL
    if not address.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"expected an address such as {_BASE_URL}, got {text!r}")
    return address


def bearer(text: str) -> str:
    """Return a token, without the end of the line that it had in a file."""
    token = text.strip()
    if not token.isprintable():
        # It may be a secret that was mistyped: it is not repeated.
        raise argparse.ArgumentTypeError("expected one line without control characters")
    return token


def parser() -> argparse.ArgumentParser:
    """Return the parser; the options that it parses have a function `run`."""
    top = argparse.ArgumentParser(
        "llm-proxy",
        description="Manage a server's projects and tokens. Without a command: run the server.",
    )
    top.add_argument(
        "--version", action="version", version=importlib.metadata.version("llmring-server")
    )
    commands = _group(top)
    commands.add_parser("server", help="run the server")
    shared = _shared_options(default=argparse.SUPPRESS)
    manage_parser = commands.add_parser(
        "manage", help="manage projects and tokens", parents=[_shared_options(default=None)]
    )
    resources = _group(manage_parser)
    _add_projects(_group(resources.add_parser("project", help="projects")), shared)
    _add_tokens(_group(resources.add_parser("token", help="tokens")), shared)
    _add_cache(_group(resources.add_parser("cache", help="cached answers")), shared)
    _add_chat(_group(commands.add_parser("openai", help="talk through the server")))
    return top


def _group(parser: argparse.ArgumentParser):
    return parser.add_subparsers(required=True, metavar="COMMAND")


def _shared_options(*, default: str | None) -> argparse.ArgumentParser:
    """Return the options that may stand after `manage` and after its commands."""
    shared = argparse.ArgumentParser(add_help=False)
    is_first = default is None
    shared.add_argument(
        "--manage-api-base-url",
        "--api-base-url",  # as llm-proxy's `cache purge` has it
        metavar="URL",
        type=base_url,
        default=os.environ.get("MANAGEMENT_API_BASE_URL", _BASE_URL) if is_first else default,
        help=f"the server's address (MANAGEMENT_API_BASE_URL, else {_BASE_URL})",
    )
    shared.add_argument(
        "--management-token",
        metavar="TOKEN",
        type=bearer,
        default=os.environ.get("MANAGEMENT_TOKEN", "") if is_first else default,
        help="default: MANAGEMENT_TOKEN of the environment",
    )
    shared.add_argument(
        "--json",
        action="store_true",
        default=False if is_first else default,
        help="print the server's JSON",
    )
    return shared


def _adder(commands, shared: argparse.ArgumentParser) -> Callable[..., argparse.ArgumentParser]:
    def add(name: str, run: Callable, help: str, **options) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, parents=[shared], **options)
        command.set_defaults(run=lambda parsed: run(manage.client(command, parsed), parsed))
        return command

    return add


def _add_projects(commands, shared: argparse.ArgumentParser) -> None:
    add = _adder(commands, shared)
    command = add("list", manage.list_projects, "list projects")
    command.add_argument("--active-only", action="store_true")
    add("get", manage.get_project, "show a project").add_argument("id")
    command = add("create", manage.create_project, "create a project")
    command.add_argument("--name", required=True)
    _add_key(command)
    command = add("update", manage.update_project, "change a project")
    command.add_argument("id")
    command.add_argument("--name")
    _add_key(command)
    _add_active(command)
    add("delete", manage.delete_project, "deactivate a project and revoke its tokens").add_argument(
        "id"
    )
    add("revoke-tokens", manage.revoke_tokens, "revoke all tokens of a project").add_argument("id")


def _add_tokens(commands, shared: argparse.ArgumentParser) -> None:
    add = _adder(commands, shared)
    command = add("generate", manage.generate_token, "issue a token and print it once")
    command.add_argument("--project-id", required=True, metavar="ID")
    command.add_argument(
        "--duration",
        type=duration,
        default="24",
        help="hours, or with a unit: 90m, 24h, 30d; never (%(default)s)",
    )
    _add_limits(command)
    command = add("list", manage.list_tokens, "list tokens")
    command.add_argument("--project-id", metavar="ID")
    command.add_argument("--active-only", action="store_true")
    add("get", manage.get_token, "show a token").add_argument("id", help="id, or the token itself")
    command = add("update", manage.update_token, "change a token's limits")
    command.add_argument("id", help="id, or the token itself")
    _add_limits(command)
    _add_active(command)
    add("revoke", manage.revoke_token, "revoke a token", aliases=["delete"]).add_argument(
        "id", help="id, or the token itself"
    )


def _add_cache(commands, shared: argparse.ArgumentParser) -> None:
    command = _adder(commands, shared)("purge", manage.purge_cache, "remove cached answers")
    command.add_argument("--method", required=True, help="GET or POST")
    command.add_argument("--url", required=True, help="path and query, with or without host")
    command.add_argument("--prefix", help="all paths with this prefix, instead of the URL's")


def _add_key(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--openai-key", "--api-key", dest="api_key", metavar="KEY", help="its own upstream key"
    )


def _add_active(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--active", action=argparse.BooleanOptionalAction, dest="is_active", default=None
    )


def _add_limits(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", help="where it is used")
    command.add_argument("--max-requests", type=int, metavar="N", help="in its whole life")
    command.add_argument("--requests-per-minute", type=int, metavar="N")
    command.add_argument("--budget", dest="budget_usd", metavar="USD", help="in its whole life")
    for name, metavar, help in (
        ("model", "PATTERN", "a model it may use, such as gpt-4o*"),
        ("endpoint", "PATTERN", "a path it may call, such as /v1/chat/*"),
        (
            "origin",
            "ORIGIN",
            "an origin of browsers that may use it, such as https://app.example.com",
        ),
    ):
        command.add_argument(
            f"--{name}",
            dest=f"allowed_{name}s",
            action="append",
            metavar=metavar,
            help=f"{help}; may be repeated",
        )
    command.add_argument("--upstream", help="the only upstream it may call")


def _add_chat(commands) -> None:
    command = commands.add_parser("chat", help="chat with a model; `exit` or Ctrl-D ends it")
    command.add_argument(
        "--proxy",
        metavar="URL",
        type=base_url,
        default=os.environ.get("PROXY_URL", _BASE_URL),
        help=f"the server's address (PROXY_URL, else {_BASE_URL})",
    )
    command.add_argument(
        "--token",
        type=bearer,
        default=os.environ.get("PROXY_TOKEN", ""),
        help="default: PROXY_TOKEN of the environment",
    )
    command.add_argument("--model", default="gpt-4.1-mini", help="(%(default)s)")
    command.add_argument("--temperature", type=float, default=0.7, help="(%(default)s)")
    command.add_argument("--max-tokens", type=int)
    command.add_argument("--system", help="a system prompt")
    command.add_argument("--stream", action=argparse.BooleanOptionalAction, default=True)
    command.add_argument("-v", "--verbose", action="store_true", help="show the tokens used")
    command.set_defaults(run=lambda options: chat.run(command, options))
