"""The items of all active servers of a project, as `/mcp` offers them.

A tool or prompt `add` of the server with the prefix `calc` is `calc__add`, its resource
`file:///a` is `calc+file:///a`. Resources of MCP Apps (`ui://`) keep their addresses.
Source: docs/http-contract/mcp.md, "One endpoint for a project".
"""

from collections.abc import Callable

from django.conf import settings
from django.db.models import Q
from django.utils.functional import cached_property

from core.scoping import Caller
from mcp import offered_items
from mcp.models import CHANGED, Prompt, Resource, Server, Tool
from mcp.offered_items import UI_SCHEME

PAGE_SIZE = 500

# The items of a page that can be offered, and the offset of the next page.
Page = tuple[list[dict], int | None]


class AggregatedServers:
    """The active servers of a project, by prefix, the oldest first."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def servers(self) -> dict[str, Server]:
        active = Server.objects.for_caller(self._caller).filter(is_active=True).order_by("id")
        large = ("capabilities", "server_info", "resource_templates")
        return {server.prefix: server for server in active.defer(*large)}

    def tools(self, offset: int, *, modern: bool) -> Page:
        """Return a page of MCP tools, without changed ones where tools are pinned."""
        rows = self._rows(Tool)
        if settings.MCP_PIN_TOOLS:
            rows = rows.exclude(CHANGED)
        return _page(rows, offset, lambda row: _tool(row, modern))

    def resources(self, offset: int) -> Page:
        """Return a page of MCP resources; of an app's address, `resources/read` asks the oldest."""
        return _page(self._with_servers(Resource), offset, _resource)

    def resource_templates(self) -> list[dict]:
        """Return the MCP templates of all servers; those that cannot be repaired are left out."""
        return [
            {**template, "uriTemplate": _address(prefix, template["uriTemplate"])}
            for prefix, templates in self._templates()
            for each in templates
            if (template := offered_items.repair_template(each)[0])
        ]

    def prompts(self, offset: int) -> Page:
        """Return a page of MCP prompts."""
        return _page(self._rows(Prompt), offset, _prompt)

    def named(self, model: type, name: str):
        """Return the active tool or prompt that is offered under this name, or None."""
        return self._with_servers(model).filter(offered_name=name).first()

    def server_of(self, name: str) -> Server | None:
        """Return the server whose item the name would be, known or not."""
        prefix, separator, _ = name.partition("__")
        return self.servers.get(prefix) if separator else None

    def addressed(self, uri: str) -> tuple[Server, str] | None:
        """Return the server of a resource and its own URI there; None for an unknown server.

        The resource itself need not be known: servers do not list all.
        """
        if uri.startswith(UI_SCHEME):
            server = self._server_of_app(uri)
            return (server, uri) if server else None
        prefix, separator, own = uri.partition("+")
        server = self.servers.get(prefix) if separator else None
        return (server, own) if server else None

    def _server_of_app(self, uri: str) -> Server | None:
        """Return the oldest server that lists an app's resource, or names it in a tool."""
        in_tool = Q(extra___meta__ui__resourceUri=uri) | Q(**{"extra___meta__ui/resourceUri": uri})
        resources, tools = map(self._with_servers, (Resource, Tool))
        for rows in (resources.filter(uri=uri), tools.filter(in_tool)):
            if row := rows.first():
                return row.server
        for prefix, templates in self._templates():
            for each in templates:
                start = str(each.get("uriTemplate", "")).partition("{")[0]
                if len(start) > len(UI_SCHEME) and uri.startswith(start):
                    return self.servers.get(prefix)
        return None

    def _templates(self) -> list[tuple[str, list[dict]]]:
        servers = Server.objects.for_caller(self._caller).filter(is_active=True).order_by("id")
        return list(servers.values_list("prefix", "resource_templates"))

    def _rows(self, model: type):
        rows = model.objects.for_caller(self._caller).active()
        return rows.order_by("server_id", "uri" if model is Resource else "name")

    def _with_servers(self, model: type):
        return self._rows(model).select_related("server")


def with_addresses(server: Server, blocks: list[dict]) -> list[dict]:
    """Return content blocks of a server with the addresses of resources as they are offered."""
    return [_with_address(server, block) for block in blocks]


def _with_address(server: Server, block: dict) -> dict:
    if isinstance(block.get("resource"), dict):
        return {**block, "resource": _with_address(server, block["resource"])}
    if isinstance(block.get("uri"), str):
        return {**block, "uri": _address(server.prefix, block["uri"])}
    return block


def _address(prefix: str, uri: str) -> str:
    return uri if uri.startswith(UI_SCHEME) else f"{prefix}+{uri}"


def _page(rows, offset: int, offered: Callable) -> Page:
    page = list(rows[offset : offset + PAGE_SIZE])
    items = [item for row in page if (item := offered(row)) is not None]
    return items, offset + PAGE_SIZE if len(page) == PAGE_SIZE else None


def _tool(row: Tool, modern: bool) -> dict | None:
    """Return the tool as `/mcp` lists it; None if clients would refuse it."""
    tool = offered_items.repaired(row)
    if tool is None:
        return None
    if not modern and tool.get("outputSchema", {}).get("type") != "object":
        tool.pop("outputSchema", None)  # until 2025-11-25 structured content is an object
    return {**tool, "name": row.offered_name}


def _resource(row: Resource) -> dict | None:
    resource = offered_items.repaired(row)
    return resource and {**resource, "uri": _address(row.server.prefix, row.uri)}


def _prompt(row: Prompt) -> dict | None:
    prompt = offered_items.repaired(row)
    return prompt and {**prompt, "name": row.offered_name}
