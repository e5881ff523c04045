"""The process of an MCP server over stdio, whose tool returns its id."""

import psutil
import requests

from tests.server import Server

_TIMEOUT_SECONDS = 20


def started_by(server: Server, command: str) -> psutil.Process:
    """Register the command on a running server and call its tool; return its process."""
    entry = {"name": "s", "transport_type": "stdio", "url": command}
    path = f"{server.url}/api/v1/mcp"
    with requests.Session() as session:
        session.headers["X-API-Key"] = server.key

        def post(url: str, body: dict | None = None) -> dict:
            return session.post(url, json=body, timeout=_TIMEOUT_SECONDS).json()

        id = post(f"{path}/servers", entry)["id"]
        tool = post(f"{path}/servers/{id}/refresh")["tools"][0]
        output = post(f"{path}/tools/{tool['id']}/execute", {"input": {}})["output"]
    return psutil.Process(output["pid"])
