"""Requests to an MCP server in the negotiated revision of the protocol."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from core import json_writer
from core.egress.deadlines import remaining, time_limit_renewal
from mcp import param_headers
from mcp.client import protocol
from mcp.client.mcp_errors import ProtocolViolation, Refused, RpcError
from mcp.client.notifications import Listener, ignore

QUICK_TIMEOUT_SECONDS = 10  # of requests that are no work for a healthy server
_MAX_PAGES = 200
_MAX_ITEMS = 5_000
_MAX_BYTES = 2**24  # of the items of one kind, which are held in memory
_MAX_ROUNDS = 10  # of `input_required` results without requests
_RETRY_SECONDS = 0.1


class Connection(Protocol):
    """A Streamable or a Duplex."""

    is_alive: bool
    on_notification: Listener

    def request(
        self, message: dict, headers: dict[str, str], *, timeout: float, on_progress: Listener = ...
    ) -> dict: ...
    def notify(self, message: dict, headers: dict[str, str]) -> None: ...
    def listen(self, headers: dict[str, str]) -> None: ...
    def close(self, headers: dict[str, str]) -> None: ...


@dataclass
class Session:
    """A connection to a server with its negotiated revision. Thread-safe.

    Its methods raise McpError; Rejected when the call cannot have run, and another
    session may do better.
    """

    connection: Connection
    version: str = ""
    capabilities: dict = field(default_factory=dict)
    server_info: dict | None = None
    on_list_changed: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self.connection.on_notification = self._notified

    @property
    def is_modern(self) -> bool:
        return self.version in protocol.MODERN_VERSIONS

    @property
    def is_alive(self) -> bool:
        return self.connection.is_alive

    def close(self) -> None:
        self.connection.close(self._headers())

    def listen(self) -> None:
        """Receive from now on also what belongs to no request."""
        self.connection.listen(self._headers())

    def discover(self, version: str, *, timeout: float) -> None:
        """Negotiate a stateless revision. Raises McpError, also RpcError."""
        result = self._ask("server/discover", {}, version=version, timeout=timeout)
        supported = result.get("supportedVersions")
        listed = supported if isinstance(supported, list) else []
        common = [each for each in protocol.MODERN_VERSIONS if each in listed]
        if not common:
            raise RpcError(
                protocol.UNSUPPORTED_VERSION, "No common version", {"supported": supported}
            )
        self.version = common[-1]
        meta = result.get("_meta")
        self._learn(result, meta.get(protocol.META_SERVER) if isinstance(meta, dict) else None)

    def rediscover(self) -> None:
        """Learn again what a stateless server offers: no lost session tells of another one."""
        if self.is_modern:
            with suppress(RpcError, ProtocolViolation):
                self.discover(self.version, timeout=QUICK_TIMEOUT_SECONDS)

    def initialize(
        self,
        version: str = protocol.HANDSHAKE_VERSIONS[-1],
        *,
        timeout: float = QUICK_TIMEOUT_SECONDS,
    ) -> None:
        """Do the handshake of the revisions until 2025-11-25. Raises McpError."""
        self.version = ""
        params = {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": protocol.implementation(),
        }
        result = self._ask("initialize", params, timeout=timeout)
        version = result.get("protocolVersion")
        if version not in protocol.HANDSHAKE_VERSIONS:
            raise ProtocolViolation("The MCP server speaks no revision that this server knows")
        self.version = version
        self._learn(result, result.get("serverInfo"))
        self.connection.notify(protocol.notification("notifications/initialized"), self._headers())

    def call_tool(
        self,
        name: str,
        arguments: dict,
        schema: object = None,
        *,
        meta: dict | None = None,
        on_progress: Listener = ignore,
    ) -> dict:
        """Return the result of `tools/call`; `isError` in it marks the tool's own failure.

        `meta` goes with the request as `_meta`; `on_progress` gets the parameters of each
        progress notification.
        """
        params = {"name": name, "arguments": arguments, "_meta": meta}
        headers = param_headers.headers_for(schema, arguments) if self.is_modern else {}
        return self._call("tools/call", params, on_progress, headers)

    def read_resource(
        self, uri: str, *, meta: dict | None = None, on_progress: Listener = ignore
    ) -> dict:
        return self._call("resources/read", {"uri": uri, "_meta": meta}, on_progress)

    def get_prompt(
        self,
        name: str,
        arguments: dict,
        *,
        meta: dict | None = None,
        on_progress: Listener = ignore,
    ) -> dict:
        params = {"name": name, "arguments": arguments, "_meta": meta}
        return self._call("prompts/get", params, on_progress)

    def listed(self, kind: str) -> list[dict]:
        """Return all `tools`, `resources`, `resources/templates` or `prompts` that are objects.

        The list is empty if the server lacks the capability. Raises McpError.
        """
        if kind.partition("/")[0] not in self.capabilities:
            return []
        member = "resourceTemplates" if kind == "resources/templates" else kind
        try:
            return list(itertools.islice(self._items(f"{kind}/list", member), _MAX_ITEMS))
        except RpcError as error:
            if error.code == protocol.METHOD_NOT_FOUND:
                return []
            raise

    def _items(self, method: str, member: str) -> Iterator[dict]:
        cursor, seen, size = None, set(), 0
        for _ in range(_MAX_PAGES):
            params = {} if cursor is None else {"cursor": cursor}
            try:
                page = self._request(method, params, timeout=QUICK_TIMEOUT_SECONDS)
            except RpcError:
                if cursor == "":  # some servers mean by it that there are no more pages
                    return
                raise
            items = page.get(member)
            if not isinstance(items, list):
                raise ProtocolViolation(f"The MCP server's answer to {method} has no list")
            size += len(json_writer.dumps(items))
            if size > _MAX_BYTES:
                raise ProtocolViolation(f"The MCP server's list is longer than {_MAX_BYTES} bytes")
            yield from (item for item in items if isinstance(item, dict))
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or cursor in seen:
                return
            seen.add(cursor)

    def _call(
        self, method: str, params: dict, on_progress: Listener, headers: dict | None = None
    ) -> dict:
        """Send a request that may take long: each progress notification restarts its time."""
        renew = time_limit_renewal()

        def progressed(message: dict) -> None:
            renew()
            if isinstance(params := message.get("params"), dict):
                on_progress(params)

        return self._request(
            method, params, headers=headers, on_progress=progressed, wants_progress=True
        )

    def _request(self, method: str, params: dict, **options) -> dict:
        """Send a request and return its complete result."""
        answers: dict = {}
        for _ in range(_MAX_ROUNDS):
            result = self._ask(method, {**params, **answers}, **options)
            if not self.is_modern or result.get("resultType", "complete") == "complete":
                return result
            if result["resultType"] != "input_required":
                raise ProtocolViolation("The MCP server's result has a type that is not known here")
            if result.get("inputRequests"):
                break
            time.sleep(remaining(_RETRY_SECONDS))
            state = result.get("requestState")
            answers = {} if state is None else {"requestState": state}
        raise Refused("The MCP server asks for a person's or a model's input, which is not there")

    def _ask(
        self,
        method: str,
        params: dict,
        *,
        version: str = "",
        headers: dict[str, str] | None = None,
        timeout: float = float("inf"),
        on_progress: Listener = ignore,
        wants_progress: bool = False,
    ) -> dict:
        version = version or self.version
        id = next(self._ids)
        meta = dict(params.get("_meta") or {})
        if wants_progress:
            meta["progressToken"] = id
        headers = self._headers(version) | (headers or {})
        if version in protocol.MODERN_VERSIONS:
            meta |= _envelope(version)
            headers["Mcp-Method"] = method
            if name := params.get(protocol.NAMED_BY.get(method, "")):
                headers["Mcp-Name"] = protocol.header_value(name)
        params = {name: value for name, value in params.items() if name != "_meta"}
        if meta:
            params["_meta"] = meta
        answer = self.connection.request(
            protocol.request(id, method, params),
            headers,
            timeout=remaining(timeout),
            on_progress=on_progress,
        )
        return protocol.result_of(answer)

    def _notified(self, message: dict) -> None:
        method = message.get("method")
        if self.on_list_changed and isinstance(method, str) and method.endswith("/list_changed"):
            self.on_list_changed()

    def _headers(self, version: str = "") -> dict[str, str]:
        version = version or self.version
        return {"MCP-Protocol-Version": version} if version else {}

    def _learn(self, result: dict, server_info: object) -> None:
        capabilities = result.get("capabilities")
        self.capabilities = capabilities if isinstance(capabilities, dict) else {}
        self.server_info = server_info if isinstance(server_info, dict) else None


def _envelope(version: str) -> dict:
    return {
        protocol.META_VERSION: version,
        protocol.META_CLIENT: protocol.implementation(),
        protocol.META_CAPABILITIES: {},
    }
