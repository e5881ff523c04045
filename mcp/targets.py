"""Where a registered MCP server is: an address, or a command that the operator listed."""

import shlex
from urllib.parse import urlsplit

from django.conf import settings

from core import egress
from mcp.models import Transport

_SCHEMES = {
    Transport.HTTP: ("http", "https"),
    Transport.SSE: ("http", "https"),
    Transport.WEBSOCKET: ("ws", "wss", "http", "https"),
}


def objection(url: str, transport: str) -> str | None:
    """What is wrong with the address of a server of this transport; None when nothing is."""
    if any(ord(character) < 32 or character == "\x7f" for character in url):
        return "MCP server URL must not contain control characters"
    if transport == Transport.STDIO:
        return None if _words(url) else "MCP server URL must be a command line"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises on a bad port
    except ValueError:
        return "MCP server URL is not a valid address"
    if parts.scheme not in _SCHEMES[transport]:
        return f"MCP server URL must use {' or '.join(_SCHEMES[transport][:2])}"
    if not parts.hostname or any(character.isspace() for character in url):
        return "MCP server URL must include a hostname"
    if "@" in parts.netloc:
        return "MCP server URL must not contain a password; use auth_config"
    try:
        egress.check_host(parts.hostname)
    except egress.ForbiddenAddress as error:
        return f"MCP server URL: {error}"
    return None


def origin(url: str) -> tuple:
    """Scheme, host and port of an address; of a command line, its words. Raises ValueError."""
    # Where a backslash ends the host for requests, urlsplit goes on to look for it.
    parts = urlsplit(url.replace("\\", "/"))
    if not parts.netloc:
        return tuple(_words(url))
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def listed_command(url: str) -> list[str] | None:
    """The command line as words, if the operator listed exactly it; else None."""
    words = _words(url)
    return words if words and words in map(_words, settings.MCP_STDIO_COMMANDS) else None


def _words(command: str) -> list[str]:
    """A command line as words; a leading `stdio:` or `stdio://` is no part of it."""
    for prefix in ("stdio://", "stdio:"):
        command = command.removeprefix(prefix)
    try:
        return shlex.split(command)
    except ValueError:  # a quotation that does not end
        return []
