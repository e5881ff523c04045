"""Run by the released client's own Python: `python mcp_calls.py URL KEY MCP_SERVER MANIFEST`.

Every call of the client that has to do with MCP. Prints one JSON object: what it got.
"""

import asyncio
import io
import json
import os
import sys
from contextlib import redirect_stdout
from uuid import UUID

from llmring import cli
from llmring.mcp.http_client import MCPHttpClient

url, key, mcp_server, manifest = sys.argv[1:]
os.environ |= {"LLMRING_SERVER_URL": url, "LLMRING_API_KEY": key}


def command(*words: str) -> str:
    """What `llmring mcp …` prints."""
    sys.argv = ["llmring", "mcp", *words]
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = cli.main()
    return f"{status or 0}: {printed.getvalue()}"


async def helpers() -> dict:
    client = MCPHttpClient(base_url=url, api_key=key)
    server = await client.register_server(name="helped", url=mcp_server)
    id = UUID(server["id"])
    tools = [{"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}}]
    resources = [{"uri": "notes://today", "name": "today", "mimeType": "text/plain"}]
    prompts = [{"name": "review", "description": None, "arguments": [{"name": "code"}]}]
    await client.refresh_server_capabilities(id, tools, resources, prompts)
    (tool,) = await client.list_tools(server_id=id)
    (resource,) = await client.list_resources(server_id=id)
    (prompt,) = await client.list_prompts(server_id=id)
    tool_id = UUID(tool["id"])
    conversation = await client.create_conversation(title="MCP", project_id="default-user")
    result = {
        "server": server,
        "listed": [each["id"] for each in await client.list_servers()],
        "got": await client.get_server(id),
        "tool": tool,
        "same tool": await client.get_tool(tool_id) == tool,
        "updated": await client.update_server(id, name="renamed"),
        "by name": (await client.get_tool_by_name("add", server_id=id))["id"],
        "recorded": await client.record_tool_execution(
            tool_id, {"a": 1}, output={"sum": 1}, duration_ms=5, conversation_id=conversation
        ),
        "executed": await client.record_tool_execution(tool_id, {"a": 2, "b": 40}),
        "history": await client.get_tool_history(tool_id),
        "resource": await client.get_resource(UUID(resource["id"])) == resource,
        "content": await client.get_resource_content(UUID(resource["id"])),
        "prompt": await client.get_prompt(UUID(prompt["id"])) == prompt,
        "rendered": await client.render_prompt(UUID(prompt["id"]), {"code": "x = 1"}),
        "conversation": str(conversation),
        "message": await client.add_message(conversation, role="user", content="hi"),
        "messages": await client.get_conversation_messages(conversation),
        "switched off": await client.update_server(id, is_active=False),
        "inactive": [each["id"] for each in await client.list_servers(is_active=False)],
        "deleted": await client.delete_server(id),
    }
    await client.close()
    return result


def commands() -> dict:
    result = {
        "register": command("servers", "register", "--name", "cli", "--url", mcp_server),
        "servers": command("servers", "list"),
        "apply": command("apply", "-f", manifest),
        "tools": command("tools"),
    }
    id = result["servers"].split("id=")[1].split()[0]
    options = ["--name", "again", "--description", "Again.", "--arguments", '{"x": {}}']
    result["prompt"] = command("prompts", "register", "--server-id", id, *options)
    result["prompts"] = command("prompts", "--server-id", id)
    options = ["--uri", "notes://more", "--mime-type", "text/plain"]
    result["resource"] = command("resources", "register", "--server-id", id, *options)
    result["resources"] = command("resources", "--server-id", id)
    return result


print(json.dumps({**asyncio.run(helpers()), "commands": commands()}))
