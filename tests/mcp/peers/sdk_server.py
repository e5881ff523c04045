"""An MCP server made with the official SDK: `python sdk_server.py TRANSPORT [ERA] [PORT]`.

TRANSPORT is `http`, `sse` or `stdio`; ERA `any` or `handshake` (as if it were a
server of before 2026). Prints the port it listens on. Runs in an environment of
its own, for the package `mcp` of this project hides the SDK.
"""

import asyncio
import socket
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp_types import CallToolResult, ResourceLink, TextContent, Tool

transport, era, port = (*sys.argv[1:], *("any", "0")[len(sys.argv) - 2 :])[:3]
server = MCPServer("peer", version="7", log_level="ERROR")
calls: list[str] = []


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def fail(reason: str) -> str:
    raise ToolError(reason)


@server.tool()
def picture() -> Image:
    return Image(data=b"\x89PNG not really", format="png")


@server.tool()
def link() -> CallToolResult:
    found = ResourceLink(type="resource_link", uri="notes://today", name="today")
    return CallToolResult(
        content=[found, TextContent(type="text", text="see there")],
        structured_content={"found": 1, "where": {"deep": [True, None]}},
    )


@server.tool()
async def slow(seconds: float) -> str:
    calls.append("begun")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        calls.append("cancelled")
        raise
    return "done"


@server.tool()
async def talkative(count: int, ctx: Context) -> str:
    """Sends notifications first, so that its answer comes as a stream."""
    for step in range(count):
        await ctx.report_progress(step, count)
        await ctx.session.send_resource_list_changed()
    return "said"


@server.tool()
async def interrupted(ctx: Context) -> str:
    """Closes its stream before the answer, which has to be fetched by resuming it."""
    await ctx.close_sse_stream()
    await asyncio.sleep(0.05)
    return "resumed"


@server.tool()
def large(count: int) -> str:
    return "x" * count


@server.tool()
def journal() -> list[str]:
    return calls


@server.tool()
def grow(name: str) -> str:
    """Adds another tool."""
    server.add_tool(lambda text: text, name=name, description=f"Tool {name}.")
    return name


@server.tool()
def change(description: str) -> str:
    """Tells models something else about `add`."""
    server._tool_manager.get_tool("add").description = description
    return description


@server.tool()
def remove(name: str) -> str:
    server._tool_manager.remove_tool(name)
    return name


@server.resource("notes://today", mime_type="text/plain")
def today() -> str:
    return "Water the plants."


@server.resource("notes://icon", mime_type="image/png")
def icon() -> bytes:
    return b"\x89PNG"


@server.resource("notes://day/{day}")
def day(day: str) -> str:
    return f"Notes of {day}."


@server.prompt()
def review(code: str, language: str = "Python") -> str:
    """Asks for a review."""
    return f"Please review this {language}: {code}"


class Events(EventStore):
    """Keeps all events of all streams, to resume them."""

    def __init__(self) -> None:
        self.kept = []

    async def store_event(self, stream_id, message):
        self.kept.append((stream_id, message))
        return str(len(self.kept))

    async def replay_events_after(self, last_event_id, send_callback):
        stream_id, _ = self.kept[int(last_event_id) - 1]
        for number, (stream, message) in enumerate(self.kept, 1):
            if number > int(last_event_id) and stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


def of_before_2026(app):
    """Answers as servers did that knew nothing of the stateless revision."""

    async def wrapped(scope, receive, send):
        version = dict(scope.get("headers", ())).get(b"mcp-protocol-version", b"2025-11-25")
        if version < b"2026":
            return await app(scope, receive, send)
        body = (
            b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request"}}'
        )
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return wrapped


async def serve_stdio_of_before_2026() -> None:
    lowlevel = server._lowlevel_server
    async with lowlevel.lifespan(lowlevel) as state, stdio_server() as (read, write):
        await serve_loop(lowlevel, read, write, lifespan_state=state)


def serve_http() -> None:
    if transport == "sse":
        app = server.sse_app()
    else:
        app = server.streamable_http_app(event_store=Events(), retry_interval=10)
    if era == "handshake":
        app = of_before_2026(app)
    listening = socket.create_server(("127.0.0.1", int(port)))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


assert Tool  # the SDK's types are the package mcp-types
if transport != "stdio":
    serve_http()
elif era == "handshake":
    anyio.run(serve_stdio_of_before_2026)
else:
    server.run("stdio")
