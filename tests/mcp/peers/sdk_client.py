"""The official SDK's client at work: `python sdk_client.py URL KEY MODE`.

MODE is the client's own: `auto`, `legacy` or a revision. Everything that one can
do is done; what came of it is printed as one JSON object.
"""

import asyncio
import json
import sys

from mcp.shared.exceptions import MCPError
from sdk_session import connected

url, key, mode = sys.argv[1:]


async def refused(awaitable) -> str:
    try:
        await awaitable
    except MCPError as error:
        return f"{error.error.code} {error.error.message}"
    return ""


async def main() -> None:
    async with connected("2", url, key, mode) as client:
        tools = (await client.list_tools()).tools
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        prompts = (await client.list_prompts()).prompts
        added = await client.call_tool("calc__add", {"a": 2, "b": 40})
        failed = await client.call_tool("calc__fail", {"reason": "no luck"})
        misfit = await client.call_tool("calc__add", {"a": "two", "b": 1})
        linked = await client.call_tool("calc__link", {})
        link = linked.content[0].uri
        found = {
            "version": client.protocol_version,
            "server": client.server_info and client.server_info.name,
            "tools": sorted(tool.name for tool in tools),
            "resources": sorted(resource.uri for resource in resources),
            "templates": [template.uri_template for template in templates],
            "prompts": [prompt.name for prompt in prompts],
            "arguments": [argument.name for argument in prompts[0].arguments],
            "added": added.structured_content,
            "failed": [failed.is_error, failed.content[0].text],
            "misfit": [misfit.is_error, misfit.content[0].text],
            "linked": [link, linked.structured_content],
            "followed": (await client.read_resource(link)).contents[0].text,
            "templated": (await client.read_resource("calc+notes://day/1")).contents[0].text,
            "rendered": (await client.get_prompt("calc__review", {"code": "x = 1"}))
            .messages[0]
            .content.text,
            "unknown tool": await refused(client.call_tool("calc__nope", {})),
            "unknown resource": await refused(client.read_resource("nope+x:1")),
            "unknown prompt": await refused(client.get_prompt("nope", {})),
        }
    print(json.dumps(found))


asyncio.run(main())
