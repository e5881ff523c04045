"""The official MCP SDK in an environment of its own: a server, and a client for comparison.

Run by that environment's Python: `python -P mcp_peer.py serve`, which prints its port,
or `python -P mcp_peer.py call URL COUNT`, which prints the milliseconds of each call.
"""

import asyncio
import json
import socket
import sys
import time


def serve() -> None:
    import uvicorn
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("bench", log_level="ERROR")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    async def slow(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    listening = socket.create_server(("127.0.0.1", 0))
    # As on sockets that asyncio opens itself; otherwise each answer is delayed by 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    uvicorn.Server(config).run(sockets=[listening])


async def call(url: str, count: int) -> None:
    from mcp import Client

    times = []
    async with Client(url) as client:
        await client.call_tool("add", {"a": 1, "b": 2})
        for number in range(count):
            begun = time.perf_counter()
            answer = await client.call_tool("add", {"a": number, "b": 2})
            times.append((time.perf_counter() - begun) * 1000)
            assert answer.structured_content == {"result": number + 2}
    print(json.dumps(times))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["call", url, count]:
            asyncio.run(call(url, int(count)))
