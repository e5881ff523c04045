"""A server of HTTP+SSE that is registered as `http` is found to be one."""

import json

import pytest

from tests.mcp.peers.scripted import STREAM, TOOL, event
from tests.site.loopback import answer, listening, request_of

pytestmark = pytest.mark.django_db

RESULTS = {
    "initialize": {
        "protocolVersion": "2024-11-05",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "old", "version": "1"},
    },
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "done"}]},
}
ENDPOINT = STREAM + b"\r\nevent: endpoint\ndata: /messages\n\n"
REFUSALS = {
    "not found": answer(b"", status="404 Not Found"),
    "method not allowed": answer(b"", status="405 Method Not Allowed"),
    "stream for any method": ENDPOINT,
}


@pytest.fixture(params=REFUSALS)
def url(request):
    streams = []

    def serve(connection) -> None:
        while asked := request_of(connection):
            head, _, body = asked.partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                streams.append(connection)
                connection.sendall(ENDPOINT)
            elif head.startswith(b"POST /sse"):
                connection.sendall(REFUSALS[request.param])
            else:
                connection.sendall(answer(b"", status="202 Accepted"))
                message = json.loads(body)
                if result := RESULTS.get(message["method"]):
                    reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
                    streams[-1].sendall(event(reply))

    with listening(serve) as port:
        yield f"http://127.0.0.1:{port}/sse"


def test_older_transport_is_found(api, register, settings, url):
    settings.MCP_TIMEOUT = 3
    id = register(url=url)["id"]
    reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
    assert reply["server"]["protocol_version"] == "2024-11-05"
    path = f"/api/v1/mcp/tools/{reply['tools'][0]['id']}/execute"
    done = api.send("POST", path, {"input": {}})
    assert done["output"]["content"][0]["text"] == "done"
