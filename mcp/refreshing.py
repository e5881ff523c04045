"""Replacing what is stored of an MCP server by what it offers now."""

from django.utils import timezone

from mcp import calling, catalogue
from mcp.catalogue import Catalogue
from mcp.client.session import Session
from mcp.models import INDEXED_BYTES, Server


def refresh(server: Server, *, only_first: bool = False) -> Server:
    """The server as it is after it was asked for its tools, resources and prompts.

    Raises ServerFailed when it cannot be asked, NotCallable when it may not be.
    """
    calling.check_callable(server)
    with calling.failing_as_reply(), calling.fresh_session(server) as session:
        found, state = _ask(session)
    return catalogue.store(server, found, only_first=only_first, **state)


def replace(server: Server, given: dict) -> Server:
    """The server as it is after its items were replaced by the lists given."""
    found = Catalogue(
        tools=_each(_given_tool, given.get("tools")),
        resources=_each(_given_resource, given.get("resources")),
        prompts=_each(dict, given.get("prompts")),
    )
    return catalogue.store(server, found)


def _ask(session: Session) -> tuple[Catalogue, dict]:
    tools, resources, prompts = map(session.listed, ("tools", "resources", "prompts"))
    found = Catalogue(
        tools=[tool for each in tools if (tool := _tool(each))],
        resources=[resource for each in resources if (resource := _resource(each))],
        prompts=[prompt for each in prompts if (prompt := _prompt(each))],
    )
    return found, {
        "capabilities": session.capabilities,
        "protocol_version": session.version,
        "server_info": session.server_info,
        "resource_templates": session.listed("resources/templates"),
        "reachable": True,
        "last_error": "",
        "contacted_at": timezone.now(),
    }


def _tool(item: dict) -> dict | None:
    """The columns of a tool as a server lists it; None if it cannot be one."""
    schema = item.get("inputSchema")
    if not _is_name(item.get("name"), 255) or not isinstance(schema, dict):
        return None
    return {
        "name": item["name"],
        "title": _text(item, "title"),
        "description": _text(item, "description"),
        "input_schema": schema,
        "output_schema": _object(item, "outputSchema"),
        "annotations": _object(item, "annotations"),
    }


def _resource(item: dict) -> dict | None:
    if not _is_name(item.get("uri"), 1000):
        return None
    return {
        "uri": item["uri"],
        "name": (_text(item, "name") or item["uri"])[:255],
        "title": _text(item, "title"),
        "description": _text(item, "description"),
        "mime_type": (_text(item, "mimeType") or "")[:255] or None,
    }


def _prompt(item: dict) -> dict | None:
    if not _is_name(item.get("name"), 255):
        return None
    arguments = item.get("arguments")
    return {
        "name": item["name"],
        "title": _text(item, "title"),
        "description": _text(item, "description"),
        "arguments": arguments if isinstance(arguments, list | dict) else None,
    }


def _given_tool(item: dict) -> dict:
    columns = {name: value for name, value in item.items() if name in _GIVEN_TOOL}
    schema = item.get("inputSchema")
    if schema is None:
        schema = item.get("input_schema")
    if item.get("outputSchema") is not None:
        columns["output_schema"] = item["outputSchema"]
    return {**columns, "input_schema": schema or {}}


_GIVEN_TOOL = ("name", "title", "description", "annotations")


def _given_resource(item: dict) -> dict:
    columns = {name: item[name] for name in ("uri", "title", "description") if name in item}
    name = item.get("name") or item["uri"][:255]
    return {**columns, "name": name, "mime_type": item.get("mimeType") or item.get("mime_type")}


def _each(convert, items: list[dict] | None) -> list[dict] | None:
    return None if items is None else [convert(item) for item in items]


def _is_name(value: object, longest: int) -> bool:
    if not isinstance(value, str) or len(value.encode()) > INDEXED_BYTES:
        return False
    return 0 < len(value) <= longest


def _text(item: dict, name: str) -> str | None:
    return item[name] if isinstance(item.get(name), str) else None


def _object(item: dict, name: str) -> dict | None:
    return item[name] if isinstance(item.get(name), dict) else None
