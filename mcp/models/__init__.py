"""The tables of MCP servers, their items, and executions of tools."""

from mcp.models.executions import MAX_PAGE_BYTES, MAX_PAGE_ROWS, ErrorKind, Origin, ToolExecution
from mcp.models.items import CHANGED, MAX_INDEXED_BYTES, Item, Prompt, Resource, Tool
from mcp.models.servers import MAX_PREFIX_LENGTH, RetiredPrefix, Server, Transport

__all__ = [
    "CHANGED",
    "MAX_INDEXED_BYTES",
    "MAX_PAGE_BYTES",
    "MAX_PAGE_ROWS",
    "MAX_PREFIX_LENGTH",
    "ErrorKind",
    "Item",
    "Origin",
    "Prompt",
    "Resource",
    "RetiredPrefix",
    "Server",
    "Tool",
    "ToolExecution",
    "Transport",
]
