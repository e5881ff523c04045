"""A connection of the official SDK's client, of version 1.x or 2.x, to `/mcp`."""

from contextlib import asynccontextmanager


@asynccontextmanager
async def connected(version: str, url: str, key: str, mode: str = "auto"):
    """Yield the client. `version` is `1` or `2`; `mode` is that of 2.x."""
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
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            yield client
