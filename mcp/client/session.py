"""Requests to an MCP server in the negotiated revision of the protocol."""

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from core import media
from core.egress.deadlines import remaining
from mcp.client import protocol
from mcp.client.mcp_errors import ProtocolViolation, Refused, RpcError
from mcp.client.streamable import SessionLost

QUICK_TIMEOUT_SECONDS = 10  # of requests that are no work for a healthy server
_MAX_PAGES = 200
_MAX_ITEMS = 5_000
_MAX_BYTES = 2**24  # of the items of one kind, which are held in memory
_MAX_ROUNDS = 10  # of `input_required` results without requests
_RETRY_SECONDS = 0.1


class Connection(Protocol):
    """A Streamable or a Duplex."""

    is_alive: bool

    def request(self, message: dict, headers: dict[str, str], *, timeout: float) -> dict: ...
    def notify(self, message: dict, headers: dict[str, str]) -> None: ...
    def close(self, headers: dict[str, str]) -> None: ...


@dataclass
class Session:
    """A connection to a server with its negotiated revision. Thread-safe."""

    connection: Connection
    version: str = ""
    capabilities: dict = field(default_factory=dict)
    server_info: dict | None = None

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._renewing = threading.Lock()
        self._generation = 0

    @property
    def is_modern(self) -> bool:
        return self.version in protocol.MODERN_VERSIONS

    @property
    def is_alive(self) -> bool:
        return self.connection.is_alive

    def close(self) -> None:
        self.connection.close(self._headers())

    def discover(self, version: str, *, timeout: float) -> None:
        """Negotiate a stateless revision. Raise McpError, also RpcError."""
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

    def initialize(self, *, timeout: float = QUICK_TIMEOUT_SECONDS) -> None:
        """Do the handshake of the revisions until 2025-11-25. Raise McpError."""
        self.version = ""
        params = {
            "protocolVersion": protocol.HANDSHAKE_VERSIONS[-1],
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

    def call_tool(self, name: str, arguments: dict, schema: object = None) -> dict:
        """Return the result of `tools/call`; `isError` in it marks the tool's own failure."""
        extra = protocol.argument_headers(schema, arguments) if self.is_modern else {}
        return self._request("tools/call", {"name": name, "arguments": arguments}, extra=extra)

    def read_resource(self, uri: str) -> dict:
        return self._request("resources/read", {"uri": uri})

    def get_prompt(self, name: str, arguments: dict) -> dict:
        return self._request("prompts/get", {"name": name, "arguments": arguments})

    def listed(self, kind: str) -> list[dict]:
        """Return all `tools`, `resources`, `resources/templates` or `prompts` that are objects.

        The list is empty if the server lacks the capability. Raise McpError.
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
            page = self._request(method, params, timeout=QUICK_TIMEOUT_SECONDS)
            items = page.get(member)
            if not isinstance(items, list):
                raise ProtocolViolation(f"The MCP server's answer to {method} has no list")
            size += len(media.dumps(items))
            if size > _MAX_BYTES:
                raise ProtocolViolation(f"The MCP server's list is longer than {_MAX_BYTES} bytes")
            yield from (item for item in items if isinstance(item, dict))
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or cursor in seen:
                return
            seen.add(cursor)

    def _request(
        self,
        method: str,
        params: dict,
        *,
        extra: dict[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> dict:
        """Send a request and return its complete result. Raise McpError."""
        answers: dict = {}
        for _ in range(_MAX_ROUNDS):
            result = self._ask_in_session(method, {**params, **answers}, extra or {}, timeout)
            if not self.is_modern or result.get("resultType", "complete") == "complete":
                return result
            if result["resultType"] != "input_required" or result.get("inputRequests"):
                break
            time.sleep(remaining(_RETRY_SECONDS))
            state = result.get("requestState")
            answers = {} if state is None else {"requestState": state}
        raise Refused("The MCP server asks for a person's or a model's input, which is not there")

    def _ask_in_session(self, method, params, extra, timeout) -> dict:
        generation = self._generation
        try:
            return self._ask(method, params, extra=extra, timeout=timeout)
        except SessionLost:
            self._renew(generation)
        return self._ask(method, params, extra=extra, timeout=timeout)

    def _renew(self, generation: int) -> None:
        """Initialize again, once if several threads find the session lost at the same time."""
        with self._renewing:
            if self._generation == generation:
                self.initialize()
                self._generation += 1

    def _ask(self, method, params, *, version="", extra=None, timeout=float("inf")) -> dict:
        version = version or self.version
        headers = self._headers(version) | (extra or {})
        if version in protocol.MODERN_VERSIONS:
            params = {**params, "_meta": _envelope(version)}
            headers["Mcp-Method"] = method
            if name := params.get(protocol.NAMED_BY.get(method, "")):
                headers["Mcp-Name"] = protocol.header_value(name)
        message = protocol.request(next(self._ids), method, params)
        timeout = remaining(timeout)
        return protocol.result_of(self.connection.request(message, headers, timeout=timeout))

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
