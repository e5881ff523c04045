"""Registering MCP servers, and what follows from changing them."""

from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone

from core.errors import DomainError, InvalidInput, issue
from core.scoping import Caller
from core.secrets import Sealed
from mcp import credentials, targets
from mcp.client.pool import pool
from mcp.models import Server, Tool, ToolExecution


class AlreadyThere(DomainError):
    status_code = 409
    code = "already_there"


class ChangedAgain(DomainError):
    status_code = 409
    code = "changed_again"


def register(caller: Caller, entry: dict) -> Server:
    """A new server of the caller's project. Raises InvalidInput."""
    _check_address(entry["url"], entry["transport_type"])
    columns = _columns(entry, stored=None)
    return Server.objects.create(**caller.columns(), **columns)


def change(server: Server, entry: dict) -> Server:
    """The server with the members of the entry changed. Raises InvalidInput, Http404."""
    url = entry.get("url", server.url)
    transport = entry.get("transport_type", server.transport_type)
    if (url, transport) != (server.url, server.transport_type):
        _check_address(url, transport)
        _check_move(server, url, entry.get("auth_config"))
    columns = _columns(entry, stored=server.auth_config)
    if columns:
        columns["updated_at"] = timezone.now()
        if not Server.objects.filter(pk=server.pk).update(**columns):  # deleted meanwhile
            raise Http404("Server not found")
        for name, value in columns.items():
            setattr(server, name, value)
    return server


def delete(server: Server) -> None:
    """Remove the server with all that belongs to it."""
    id = server.id  # which Django takes from what it has deleted
    with transaction.atomic():
        # Calls that are just being recorded find nothing to belong to, and are 404.
        list(server.tools.select_for_update().values_list("pk"))
        # One statement for what may be millions of rows; the others follow by their keys.
        executions = ToolExecution.objects.filter(tool__server=server)
        executions._raw_delete(executions.db)
        server.delete()
    pool.forget(id)


def add_tool(caller: Caller, server: Server, entry: dict) -> Tool:
    """A new tool of the server. Raises AlreadyThere, Http404."""
    tool = Tool(server=server, **caller.columns(), **entry)
    tool.fingerprint = tool.accepted_fingerprint = tool.current_fingerprint
    try:
        with transaction.atomic():
            tool.save(force_insert=True)
    except IntegrityError as error:
        if not Server.objects.filter(pk=server.pk).exists():
            raise Http404("Server not found") from None
        raise AlreadyThere(f"The server has a tool named {tool.name}") from error
    return tool


def accept(tool: Tool, *, seen: str | None) -> None:
    """Take the tool as it is now; with `seen`, only if that is its fingerprint.

    Raises ChangedAgain.
    """
    if seen is not None and seen != tool.fingerprint:
        raise ChangedAgain("The tool has changed since you saw it; look at it again")
    tool.accept()


def _columns(entry: dict, *, stored: Sealed | None) -> dict:
    columns = {name: value for name, value in entry.items() if name in _PLAIN}
    if "project_id" in entry:
        columns["project_label"] = entry["project_id"]
    if "capabilities" in entry:
        columns["capabilities"] = entry["capabilities"] or None
    if "auth_config" in entry:
        config = credentials.unmasked(entry["auth_config"], stored)
        credentials.check(config)
        columns["auth_config"] = Sealed.of(config) if config else None
    return columns


_PLAIN = ("name", "url", "transport_type", "is_active")


def _check_address(url: str, transport: str) -> None:
    if objection := targets.objection(url, transport):
        # The input is not repeated: it may hold a password.
        raise InvalidInput([issue("value_error", ["body", "url"], objection, None)])


def _check_move(server: Server, url: str, config: dict | None) -> None:
    """Nobody who cannot read a secret may have it sent to a server of their choice."""
    moves = targets.origin(url) != targets.origin(server.url)
    if moves and server.auth_config and (config is None or credentials.has_mask(config)):
        message = "The address moves to another host: send the secrets again, or {} for none"
        raise InvalidInput([issue("value_error", ["body", "auth_config"], message, None)])
