"""MCP servers and executions of the demo project. Neither server is ever contacted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from core import ids, json_writer
from core.scoping import Caller
from mcp.models import ErrorKind, Origin, Server, Tool, ToolExecution, Transport
from mcp.offered_names import create_server
from mcp.registration import add_tool

EXECUTIONS = 240
_DAYS = 90
# Nobody speaks MCP over WebSocket: this server refuses to call it, whoever asks.
_TRANSPORT = Transport.WEBSOCKET
_PROPERTIES = {
    "search_orders": {"query": {"type": "string"}},
    "convert_currency": {"amount": {"type": "number"}, "to": {"type": "string"}},
}


def make_history(
    caller: Caller, conversations: Sequence[UUID], *, now: datetime, random: Random
) -> None:
    """Store two servers, one of which fails, and 90 days of executions of the other's tools."""
    shop = _server(caller, "demo shop", now=now, reachable=True, error="")
    _server(caller, "demo warehouse", now=now, reachable=False, error="demo: connection refused")
    tools = [
        add_tool(
            caller,
            shop,
            {
                "name": name,
                "description": f"Demo: {name.replace('_', ' ')}.",
                "input_schema": {"type": "object", "properties": properties},
            },
        )
        for name, properties in _PROPERTIES.items()
    ]
    ToolExecution.objects.bulk_create(
        _execution(caller, random.choice(tools), conversations, now, random)
        for _ in range(EXECUTIONS)
    )


def _server(caller: Caller, name: str, *, now: datetime, reachable: bool, error: str) -> Server:
    return create_server(
        caller,
        {
            "name": name,
            "url": f"wss://{name.replace(' ', '-')}.invalid/mcp",
            "transport_type": _TRANSPORT,
            "reachable": reachable,
            "last_error": error,
            "contacted_at": now,
            "refreshed_at": now,
        },
    )


def _execution(
    caller: Caller, tool: Tool, conversations: Sequence[UUID], now: datetime, random: Random
) -> ToolExecution:
    at = now - timedelta(seconds=random.randrange(_DAYS * 86_400))
    fails = random.random() < 0.06
    arguments = {"query": "late"} if tool.name == "search_orders" else {"amount": 5, "to": "EUR"}
    output = None if fails else {"content": [{"type": "text", "text": "demo result"}]}
    return ToolExecution(
        id=ids.uuid7(at),
        tool=tool,
        **caller.columns(),
        conversation_id=random.choice(conversations),
        origin=Origin.RECORDED,
        input=arguments,
        output=output,
        error="demo: the tool gave up" if fails else None,
        error_kind=ErrorKind.TOOL if fails else None,
        duration_ms=random.randrange(40, 2500),
        executed_at=at,
        size=len(json_writer.dumps([arguments, output])),
    )
