"""The columns of items, from the lists of MCP servers and from those that clients send.

Of an item that a server lists, what has to be repaired, or why it is left out (None), is
appended to `problems`.
"""

from collections.abc import Callable

from mcp import offered_items
from mcp.models import MAX_INDEXED_BYTES, Item, Prompt, Resource, Tool
from mcp.schemas.refreshing import ResourceItem, ToolItem


def listed_tool(item: dict, problems: list[str]) -> dict | None:
    return _split(Tool, _repaired(offered_items.repair_tool, item, "name", 255, problems))


def listed_resource(item: dict, problems: list[str]) -> dict | None:
    item = _repaired(offered_items.repair_resource, item, "uri", 1000, problems)
    if columns := _split(Resource, item):
        columns["name"] = columns["name"][:255]
        columns["mime_type"] = (columns["mime_type"] or "")[:255] or None
    return columns


def listed_template(item: dict, problems: list[str]) -> dict | None:
    return _repaired(offered_items.repair_template, item, "uriTemplate", 1000, problems)


def listed_prompt(item: dict, problems: list[str]) -> dict | None:
    return _split(Prompt, _repaired(offered_items.repair_prompt, item, "name", 255, problems))


def sent_tool(item: ToolItem) -> dict:
    columns = item.sent()
    schemas = [columns.pop(name, None) for name in ("inputSchema", "input_schema")]
    if (output_schema := columns.pop("outputSchema", None)) is not None:
        columns["output_schema"] = output_schema
    return {**columns, "input_schema": schemas[0] if schemas[0] is not None else schemas[1] or {}}


def sent_resource(item: ResourceItem) -> dict:
    columns = item.sent()
    types = [columns.pop(name, None) for name in ("mimeType", "mime_type")]
    return {**columns, "name": item.name or item.uri[:255], "mime_type": types[0] or types[1]}


def _repaired(repair: Callable, item: dict, key: str, limit: int, problems: list) -> dict | None:
    """Return the item as it can be offered and stored, or None; note what is wrong with it."""
    name = item.get(key)
    is_storable = isinstance(name, str) and len(name) <= limit
    if is_storable and len(name.encode()) <= MAX_INDEXED_BYTES:
        repaired, notes = repair(item)
    else:
        repaired, notes = None, [f"its {key} cannot be stored"]
    if notes:
        verb = "repaired" if repaired else "left out"
        problems.append(f"{str(name)[:100]!r} {verb} ({', '.join(notes[:3])})")
    return repaired


def _split(model: type[Item], item: dict | None) -> dict | None:
    """Return the columns of an item; members without a column are `extra`."""
    if item is None:
        return None
    known = {column: item.get(member) for member, column in model.MEMBERS.items()}
    return {**known, "extra": {name: item[name] for name in item.keys() - model.MEMBERS.keys()}}
