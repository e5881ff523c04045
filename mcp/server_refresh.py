"""Refresh the stored items of an MCP server, from the server itself or from given lists."""

from django.utils import timezone

from mcp import item_store, server_calls
from mcp.client.session import Session
from mcp.item_store import OfferedItems
from mcp.models import MAX_INDEXED_BYTES, Server
from mcp.schemas import PromptItem, RefreshLists, ResourceItem, ToolItem


def refresh(server: Server, *, only_first: bool = False) -> Server:
    """Ask the server for its tools, resources and prompts, store them, and return its row.

    Raise ServerFailed if it does not answer, NotCallable if it must not be called.
    """
    server_calls.check_callable(server)
    with server_calls.as_bad_gateway(), server_calls.fresh_session(server) as session:
        items, state = _ask(session)
    return item_store.store(server, items, only_first=only_first, **state)


def replace(server: Server, lists: RefreshLists) -> Server:
    """Replace the stored items by the given lists, and return the server's row."""
    items = OfferedItems(
        tools=_each(_tool_columns, lists.tools),
        resources=_each(_resource_columns, lists.resources),
        prompts=_each(PromptItem.sent, lists.prompts),
    )
    return item_store.store(server, items)


def _ask(session: Session) -> tuple[OfferedItems, dict]:
    tools, resources, prompts = map(session.listed, ("tools", "resources", "prompts"))
    items = OfferedItems(
        tools=[tool for each in tools if (tool := _tool(each))],
        resources=[resource for each in resources if (resource := _resource(each))],
        prompts=[prompt for each in prompts if (prompt := _prompt(each))],
    )
    return items, {
        "capabilities": session.capabilities,
        "protocol_version": session.version,
        "server_info": session.server_info,
        "resource_templates": session.listed("resources/templates"),
        "reachable": True,
        "last_error": "",
        "contacted_at": timezone.now(),
    }


def _tool(item: dict) -> dict | None:
    """Return the columns of a tool as the server lists it, or None for an unusable item."""
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


def _tool_columns(item: ToolItem) -> dict:
    columns = item.sent()
    schemas = [columns.pop(name, None) for name in ("inputSchema", "input_schema")]
    if (output_schema := columns.pop("outputSchema", None)) is not None:
        columns["output_schema"] = output_schema
    return {**columns, "input_schema": schemas[0] if schemas[0] is not None else schemas[1] or {}}


def _resource_columns(item: ResourceItem) -> dict:
    columns = item.sent()
    types = [columns.pop(name, None) for name in ("mimeType", "mime_type")]
    return {
        **columns,
        "name": item.name or item.uri[:255],
        "mime_type": types[0] or types[1],
    }


def _each(convert, items: list | None) -> list[dict] | None:
    return None if items is None else [convert(item) for item in items]


def _is_name(value: object, longest: int) -> bool:
    if not isinstance(value, str) or len(value.encode()) > MAX_INDEXED_BYTES:
        return False
    return 0 < len(value) <= longest


def _text(item: dict, name: str) -> str | None:
    return item[name] if isinstance(item.get(name), str) else None


def _object(item: dict, name: str) -> dict | None:
    return item[name] if isinstance(item.get(name), dict) else None
