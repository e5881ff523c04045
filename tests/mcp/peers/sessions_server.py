"""A server that keeps sessions: `python sessions_server.py LIBRARY TRANSPORT PORT`.

LIBRARY is `mcp` (the official SDK 1.x) or `fastmcp` (2.x), TRANSPORT `http`, `sse` or
`stdio`. Prints the port it listens on.
"""

import os
import socket
import sys

import uvicorn

library, transport, port = sys.argv[1:]
if library == "mcp":
    from mcp.server.fastmcp import Context, FastMCP
else:
    from fastmcp import Context, FastMCP

server = FastMCP("sessions")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def process() -> int:
    return os.getpid()


@server.tool()
async def steps(count: int, ctx: Context) -> str:
    """Reports progress at each step."""
    for step in range(count):
        await ctx.report_progress(step + 1, count)
    return "done"


@server.tool()
async def roots(ctx: Context) -> str:
    """Asks the client on the stream beside the answers."""
    return str(await ctx.session.list_roots())


@server.resource("notes://today")
def today() -> str:
    return "Water the plants."


@server.prompt()
def review(code: str) -> str:
    return f"Review {code}"


def application():
    if library == "fastmcp":
        return server.http_app(path="/sse" if transport == "sse" else "/mcp", transport=transport)
    return server.sse_app() if transport == "sse" else server.streamable_http_app()


if transport == "stdio":
    server.run("stdio")
else:
    listening = socket.create_server(("127.0.0.1", int(port)))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(application(), log_level="error")).run(sockets=[listening])
