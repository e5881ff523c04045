"""Validate and compare the URLs of MCP servers, which for stdio are command lines."""

import shlex
from urllib.parse import urlsplit

from django.conf import settings

from core import egress
from mcp.models import Transport

UNLISTED_COMMAND = "The command is not one of LLMRING_MCP_STDIO_COMMANDS"
_SCHEMES = {
    Transport.HTTP: ("http", "https"),
    Transport.SSE: ("http", "https"),
    Transport.WEBSOCKET: ("ws", "wss", "http", "https"),
}


def url_error(url: str, transport: str) -> str | None:
    """Return why a server of this transport cannot have this URL, or None."""
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
    """Return scheme, host and port, or the words of a command line. Raises ValueError."""
    scheme, host, port = egress.origin(url)
    return (scheme, host, port) if host else tuple(_words(url))


def allowed_command(url: str) -> list[str] | None:
    """Return the command as words if LLMRING_MCP_STDIO_COMMANDS lists it, else None."""
    words = _words(url)
    return words if words and words in map(_words, settings.MCP_STDIO_COMMANDS) else None


def _words(command: str) -> list[str]:
    """Split a command line, without a leading `stdio:` or `stdio://`."""
    for prefix in ("stdio://", "stdio:"):
        command = command.removeprefix(prefix)
    try:
        return shlex.split(command)
    except ValueError:  # an unclosed quotation
        return []
