"""The official SDK's client reads all lists: `python lists_client.py VERSION URL KEY MODE`.

VERSION is `1` or `2`, of the SDK; MODE is that of 2.x (`auto`, `legacy` or a revision).
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

version, url, key, mode = sys.argv[1:]


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
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            yield client


async def main() -> None:
    async with connected() as client:
        tools = (await client.list_tools()).tools
        templates = await client.list_resource_templates()
        member = "resourceTemplates" if version == "1" else "resource_templates"
        uri = "uriTemplate" if version == "1" else "uri_template"
        found = {
            "tools": [tool.name for tool in tools],
            "resources": [str(each.uri) for each in (await client.list_resources()).resources],
            "templates": [getattr(each, uri) for each in getattr(templates, member)],
            "prompts": [prompt.name for prompt in (await client.list_prompts()).prompts],
        }
        if "good__add" in found["tools"]:
            called = await client.call_tool("good__add", {"a": 2, "b": 40})
            found["called"] = called.content[0].text
    print(json.dumps(found))


asyncio.run(main())
