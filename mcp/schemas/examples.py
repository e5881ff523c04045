"""Example bodies and replies of the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

_SERVER_ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_KEY_ID = "0193b1a2-0000-7000-8000-000000000001"
_AT = "2026-01-02T03:04:05.678901Z"

# No sample reaches a server: the address leads nowhere, and an execution with its output
# is recorded, not carried out.
NEW_SERVER = {
    "name": "calculator",
    "url": "https://mcp.example.invalid/mcp",
    "transport_type": "http",
    "auth_config": {"type": "bearer", "token": "a-long-random-token-1234"},
}
SERVER = {
    **NEW_SERVER,
    "auth_config": {"type": "bearer", "token": "••••1234"},
    "capabilities": {"tools": {"listChanged": False}},
    "is_active": True,
    "id": _SERVER_ID,
    "api_key_id": _KEY_ID,
    "project_id": None,
    "created_at": _AT,
    "updated_at": _AT,
    "reachable": True,
    "last_error": "",
    "contacted_at": _AT,
    "refreshed_at": _AT,
    "protocol_version": "2026-07-28",
    "prefix": "calculator",
    "legacy": False,
    "timeout_seconds": None,
}
_OF_ALL = {
    "is_active": True,
    "id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1c",
    "server_id": _SERVER_ID,
    "api_key_id": _KEY_ID,
    "project_id": None,
    "created_at": _AT,
    "title": None,
}
_SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
NEW_TOOL = {
    "server_id": _SERVER_ID,
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": _SCHEMA,
}
TOOL = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": _SCHEMA,
    **_OF_ALL,
    "output_schema": None,
    "annotations": None,
    "changed": False,
    "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "server": {
        "id": _SERVER_ID,
        "name": "calculator",
        "url": NEW_SERVER["url"],
    },
}
RESOURCE = {
    "uri": "notes://today",
    "name": "today",
    "description": None,
    "mime_type": "text/plain",
    **_OF_ALL,
}
PROMPT = {
    "name": "review",
    "description": "Asks for a review.",
    "arguments": [{"name": "code", "required": True}],
    **_OF_ALL,
}
REFRESH_LISTS = {"tools": [{"name": "add", "description": "Adds.", "inputSchema": _SCHEMA}]}
REFRESHED = {"server": SERVER, "tools": [TOOL], "resources": [RESOURCE], "prompts": [PROMPT]}
EXECUTION_REQUEST = {
    "input": {"a": 1, "b": 2},
    "output": {"content": [{"type": "text", "text": "3"}]},
    "duration_ms": 4,
}
EXECUTION = {
    "id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1d",
    "tool_id": TOOL["id"],
    "conversation_id": None,
    "input": {"a": 1, "b": 2},
    "output": {"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}},
    "error": None,
    "duration_ms": 4,
    "executed_at": _AT,
    "error_kind": None,
}
_BESIDE = {"server_name": SERVER["name"], "server_url": SERVER["url"]}
CONTENT = {
    "resource": {**RESOURCE, **_BESIDE},
    "content": "Water the plants.",
    "contents": [{"uri": "notes://today", "mimeType": "text/plain", "text": "Water the plants."}],
    "mime_type": "text/plain",
    "error": None,
}
RENDERED = {
    "prompt": {**PROMPT, **_BESIDE},
    "arguments": {"code": "x = 1"},
    "rendered": "Please review: x = 1",
    "messages": [{"role": "user", "content": {"type": "text", "text": "Please review: x = 1"}}],
    "description": "Asks for a review.",
    "error": None,
}
DELETED = {"message": "Server deleted successfully"}

_LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
_LISTED = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {"tools": [{"name": "calculator__add", "inputSchema": _SCHEMA}]},
}
ENDPOINT = [
    OpenApiExample("a request", _LIST, request_only=True),
    OpenApiExample("its result", _LISTED, response_only=True, status_codes=["200"]),
]
