"""The official SDK's client follows a call: `python progress_client.py VERSION URL KEY`.

VERSION is `1` or `2`. Prints the steps that were reported, and the text of the result.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

version, url, key = sys.argv[1:]
steps: list[list[float]] = []


async def note(progress: float, total: float | None, message: str | None) -> None:
    steps.append([progress, total])


@asynccontextmanager
async def connected():
    if version == "1":
        from mcp.client.streamable_http import streamablehttp_client

        from mcp import ClientSession

        async with (
            streamablehttp_client(url, headers={"X-API-Key": key}) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            yield session
    else:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        from mcp import Client

        async with (
            httpx2.AsyncClient(headers={"X-API-Key": key}, timeout=30) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            yield client


async def main() -> None:
    async with connected() as client:
        result = await client.call_tool("calc__steps", {"count": 3}, progress_callback=note)
    print(json.dumps({"steps": steps, "text": result.content[0].text}))


asyncio.run(main())
