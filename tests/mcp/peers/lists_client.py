"""The official SDK's client reads all lists: `python lists_client.py VERSION URL KEY MODE`.

VERSION is `1` or `2`, of the SDK; MODE is that of 2.x (`auto`, `legacy` or a revision).
"""

import asyncio
import json
import sys

from sdk_session import connected

version, url, key, mode = sys.argv[1:]


async def main() -> None:
    async with connected(version, url, key, mode) as client:
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
