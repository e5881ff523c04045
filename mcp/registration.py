"""Register, change and delete MCP servers, and add or accept their tools."""

from django.db import transaction
from django.http import Http404
from django.utils import timezone

from core.errors import DomainError, InvalidInput, issue
from core.models import IdempotentRequest
from core.scoping import Caller
from core.secrets import Sealed
from mcp import credential_masks, credentials, server_urls
from mcp.client.session_pool import pool
from mcp.models import Server, Tool, ToolExecution, Transport
from mcp.offered_items import needs_repair
from mcp.offered_names import create_server, offered_name, retire


class DuplicateTool(DomainError):
    status_code = 409
    code = "duplicate_tool"


class StaleFingerprint(DomainError):
    status_code = 409
    code = "stale_fingerprint"


def register(caller: Caller, entry: dict) -> Server:
    """Create a server in the caller's project. Raises InvalidInput for a bad address or config."""
    entry = _without_nulls(entry)
    _check_address(entry["url"], entry["transport_type"])
    columns = _columns(entry, stored=None)
    _check_credentials(columns.get("transport_type"), entry.get("auth_config"))
    return create_server(caller, {**columns, "next_refresh_at": timezone.now()})


@transaction.atomic
def change(server: Server, entry: dict) -> Server:
    """Apply the members of `entry`, except nulls, and return the server.

    Raises InvalidInput or Http404.
    """
    # Two changes at a time could bring a kept secret and a new address together.
    server = Server.objects.select_for_update().filter(pk=server.pk).first()
    if server is None:  # deleted concurrently
        raise Http404("Server not found")
    entry = _without_nulls(entry)
    url = entry.get("url", server.url)
    transport = entry.get("transport_type", server.transport_type)
    if (url, transport) != (server.url, server.transport_type):
        _check_address(url, transport)
        _check_move(server, url, entry.get("auth_config"))
    _check_credentials(transport, entry.get("auth_config"))
    columns = _columns(entry, stored=server.auth_config)
    if columns:
        if _CONNECTING & columns.keys():
            columns["protocol_version"] = ""
            if not server.has_given_lists:
                columns["next_refresh_at"] = timezone.now()
        columns["updated_at"] = timezone.now()
        for name, value in columns.items():
            setattr(server, name, value)
        server.save(update_fields=columns)
    return server


def delete(server: Server) -> None:
    """Delete the server with its tools, resources, prompts and executions."""
    id = server.id  # Django clears it on delete
    with transaction.atomic():
        # Executions that are being recorded wait for this lock, then find no tool and are 404.
        tools = list(server.tools.select_for_update().values_list("pk", flat=True))
        # One statement: Django's own cascade would load millions of rows to delete them.
        executions = ToolExecution.objects.filter(project_id=server.project_id, tool__server=server)
        executions._raw_delete(executions.db)
        # Stored replies repeat executions.
        replies = IdempotentRequest.objects.filter(project_id=server.project_id)
        replies.filter(subject_id__in=[id, *tools]).delete()
        retire(server)
        server.delete()
    pool.forget(id)


def add_tool(caller: Caller, server: Server, entry: dict) -> Tool:
    """Create a tool on the server. Raises DuplicateTool, or Http404 for a deleted server."""
    tool = Tool(server=server, **caller.columns(), **entry)
    tool.fingerprint = tool.accepted_fingerprint = tool.current_fingerprint
    tool.needs_repair = needs_repair(tool)
    with transaction.atomic():
        if not Server.objects.select_for_update().filter(pk=server.pk).exists():
            raise Http404("Server not found")
        tools = dict(server.tools.values_list("name", "offered_name"))
        if tool.name in tools:
            raise DuplicateTool(f"The server has a tool named {tool.name}")
        tool.offered_name = offered_name(server.prefix, tool.name, set(tools.values()))
        tool.save(force_insert=True)
    return tool


def accept(tool: Tool, *, reviewed: str | None) -> None:
    """Accept the current definition of the tool.

    Raises StaleFingerprint if `reviewed` is given and is not the current fingerprint.
    """
    if reviewed is not None and reviewed != tool.fingerprint:
        raise StaleFingerprint("The tool has changed since you saw it; look at it again")
    tool.accept()


def _without_nulls(entry: dict) -> dict:
    return {name: value for name, value in entry.items() if value is not None}


def _columns(entry: dict, *, stored: Sealed | None) -> dict:
    columns = {name: value for name, value in entry.items() if name in _PLAIN}
    if "project_id" in entry:
        columns["project_label"] = entry["project_id"]
    if "timeout_seconds" in entry:
        columns["timeout_seconds"] = entry["timeout_seconds"] or None
    if "capabilities" in entry:
        columns["capabilities"] = entry["capabilities"] or None
    if "auth_config" in entry:
        config = credential_masks.unmasked(entry["auth_config"], stored)
        credentials.check(config)
        columns["auth_config"] = Sealed.of(config) if config else None
    return columns


_PLAIN = ("name", "url", "transport_type", "is_active", "legacy")
# Members whose change makes what is known of the server doubtful.
_CONNECTING = {"url", "transport_type", "auth_config", "is_active", "legacy"}


def _check_credentials(transport: str | None, config: dict | None) -> None:
    if transport == Transport.STDIO and config and credentials.kind(config) != "none":
        raise credentials.invalid("value_error", [], "A stdio server gets no credentials")


def _check_address(url: str, transport: str) -> None:
    if message := server_urls.url_error(url, transport):
        # The input is not echoed: it may hold a password.
        raise InvalidInput([issue("value_error", ["body", "url"], message, None)])


def _check_move(server: Server, url: str, config: dict | None) -> None:
    """Refuse to send stored secrets, which the caller cannot read, to a new origin."""
    moves = server_urls.origin(url) != server_urls.origin(server.url)
    keeps = config is None or credential_masks.has_mask(config)
    if moves and keeps and credential_masks.may_hold_secrets(server.auth_config):
        message = "The address moves to another host: send the secrets again, or {} for none"
        raise credentials.invalid("value_error", [], message)
