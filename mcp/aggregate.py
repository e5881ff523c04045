"""The items of all active servers of a project, under names that are unique across servers.

A tool or prompt `add` of the server "My Calculator" is `my-calculator__add`, its
resource `file:///a` is `my-calculator+file:///a`. Source: docs/http-contract/mcp.md,
"One endpoint for a project".
"""

import re

from django.conf import settings

from core.scoping import Caller
from mcp.models import CHANGED, Prompt, Resource, Server, Tool

PAGE_SIZE = 500
_MAX_PREFIX_LENGTH = 32
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


class AggregatedServers:
    """The active servers of a project, by prefix. The oldest of one name has it without number."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.servers: dict[str, Server] = {}
        active = Server.objects.for_caller(caller).filter(is_active=True).order_by("id")
        numbers: dict[str, int] = {}  # last number given, by prefix
        for server in active.defer("capabilities", "server_info", "resource_templates"):
            wanted = unique = prefix(server.name)
            while unique in self.servers:
                numbers[wanted] = numbers.get(wanted, 1) + 1
                unique = f"{wanted}-{numbers[wanted]}"
            self.servers[unique] = server
        self._prefixes = {server.id: prefix for prefix, server in self.servers.items()}

    def tools(self, offset: int, *, modern: bool) -> list[dict]:
        """Return a page of MCP tools, without changed ones where tools are pinned."""
        rows = self._rows(Tool)
        if settings.MCP_PIN_TOOLS:
            rows = rows.exclude(CHANGED)
        return [self._tool(row, modern) for row in rows[offset : offset + PAGE_SIZE]]

    def resources(self, offset: int) -> list[dict]:
        rows = self._rows(Resource)[offset : offset + PAGE_SIZE]
        return [
            _present(
                uri=f"{self._prefixes[row.server_id]}+{row.uri}",
                name=row.name,
                title=row.title,
                description=row.description,
                mimeType=row.mime_type,
            )
            for row in rows
        ]

    def resource_templates(self) -> list[dict]:
        servers = Server.objects.filter(id__in=self._prefixes)
        templates = dict(servers.values_list("id", "resource_templates"))
        return [
            _present(
                uriTemplate=f"{prefix}+{each['uriTemplate']}",
                name=_text(each, "name") or each["uriTemplate"],
                title=_text(each, "title"),
                description=_text(each, "description"),
                mimeType=_text(each, "mimeType"),
            )
            for prefix, server in self.servers.items()
            for each in templates.get(server.id, ())
            if _text(each, "uriTemplate")
        ]

    def prompts(self, offset: int) -> list[dict]:
        rows = self._rows(Prompt)[offset : offset + PAGE_SIZE]
        return [
            _present(
                name=f"{self._prefixes[row.server_id]}__{row.name}",
                title=row.title,
                description=row.description,
                arguments=_arguments(row.arguments),
            )
            for row in rows
        ]

    def named(self, model: type, name: str):
        """Return the active tool or prompt of this name with its server, or None."""
        prefix, _, own = name.partition("__")
        server = self.servers.get(prefix)
        if server is None:
            return None
        row = model.objects.filter(server=server, name=own, is_active=True).first()
        if row is not None:
            row.server = server
        return row

    def addressed(self, uri: str) -> tuple[Server, str] | None:
        """Return the server of a resource and its own URI there; None for an unknown server.

        The resource itself need not be known: servers do not list all.
        """
        prefix, _, own = uri.partition("+")
        server = self.servers.get(prefix)
        return (server, own) if server is not None else None

    def with_addresses(self, server: Server, blocks: list[dict]) -> list[dict]:
        """Return content blocks with the URIs of resources in their aggregated form."""
        return [self._with_address(server, block) for block in blocks]

    def _with_address(self, server: Server, block: dict) -> dict:
        if isinstance(block.get("resource"), dict):
            return {**block, "resource": self._with_address(server, block["resource"])}
        if isinstance(block.get("uri"), str):
            return {**block, "uri": f"{self._prefixes[server.id]}+{block['uri']}"}
        return block

    def _rows(self, model: type):
        rows = model.objects.for_caller(self._caller).active()
        return rows.filter(server__in=self.servers.values()).order_by("server_id", *_order(model))

    def _tool(self, row: Tool, modern: bool) -> dict:
        output_schema = row.output_schema
        if not modern and output_schema and output_schema.get("type") != "object":
            output_schema = None  # until 2025-11-25 structured content is an object
        return _present(
            name=f"{self._prefixes[row.server_id]}__{row.name}",
            title=row.title,
            description=row.description,
            inputSchema={**row.input_schema, "type": "object"},
            outputSchema=output_schema,
            annotations=_annotations(row.annotations),
        )


def prefix(name: str) -> str:
    """Return the name as a prefix that tool names and URI schemes can have."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_MAX_PREFIX_LENGTH].rstrip("-")
    return slug if slug[:1].isalpha() else f"s-{slug}".rstrip("-")


def _order(model: type) -> list[str]:
    return ["uri"] if model is Resource else ["name"]


def _present(**members) -> dict:
    return {name: value for name, value in members.items() if value is not None}


def _annotations(stored: dict | None) -> dict | None:
    """Return the valid annotations: clients refuse the whole list for one invalid member."""
    stored = stored or {}
    annotations = {name: stored[name] for name in _HINTS if isinstance(stored.get(name), bool)}
    if isinstance(stored.get("title"), str):
        annotations["title"] = stored["title"]
    return annotations or None


def _arguments(stored: list | dict | None) -> list[dict] | None:
    if isinstance(stored, dict):
        stored = [
            {"name": name, **(each if isinstance(each, dict) else {})}
            for name, each in stored.items()
        ]
    arguments = []
    for each in stored or []:
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            required = each.get("required")
            arguments.append(
                _present(
                    name=each["name"],
                    title=_text(each, "title"),
                    description=_text(each, "description"),
                    required=required if isinstance(required, bool) else None,
                )
            )
    return arguments or None


def _text(item: object, name: str) -> str | None:
    value = item.get(name) if isinstance(item, dict) else None
    return value if isinstance(value, str) else None
