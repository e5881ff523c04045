"""What can be asked of an MCP server, once it is agreed in which revision of the protocol."""

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from core.egress.deadlines import remaining
from mcp.client import wire
from mcp.client.errors import ProtocolViolation, Refused, RpcError
from mcp.client.streamable import SessionGone

QUICK_SECONDS = 10  # for questions that take a healthy server no work
_MOST_PAGES = 200
_MOST_ITEMS = 5_000
_MOST_BYTES = 2**24  # of the items of one kind: all are kept in memory, and stored
_MOST_ROUNDS = 10  # in which a server may say that it needs to be asked again
_AGAIN_SECONDS = 0.1


class Connection(Protocol):
    """A Streamable or a Duplex."""

    is_alive: bool

    def request(self, message: dict, headers: dict[str, str], *, patience: float) -> dict: ...
    def notify(self, message: dict, headers: dict[str, str]) -> None: ...
    def close(self, headers: dict[str, str]) -> None: ...


@dataclass
class Session:
    """One agreed connection to a server; threads share it."""

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
        return self.version in wire.MODERN_VERSIONS

    @property
    def is_alive(self) -> bool:
        return self.connection.is_alive

    def close(self) -> None:
        self.connection.close(self._headers())

    def discover(self, version: str, *, patience: float) -> None:
        """Agree on a revision without handshake. Raises McpError, RpcError among them."""
        found = self._ask("server/discover", {}, version=version, patience=patience)
        supported = found.get("supportedVersions")
        listed = supported if isinstance(supported, list) else []
        common = [each for each in wire.MODERN_VERSIONS if each in listed]
        if not common:
            raise RpcError(wire.UNSUPPORTED_VERSION, "No common version", {"supported": supported})
        self.version = common[-1]
        meta = found.get("_meta")
        self._learn(found, meta.get(wire.META_SERVER) if isinstance(meta, dict) else None)

    def initialize(self, *, patience: float = QUICK_SECONDS) -> None:
        """Shake hands, as it was done until 2025-11-25. Raises McpError."""
        self.version = ""
        params = {
            "protocolVersion": wire.HANDSHAKE_VERSIONS[-1],
            "capabilities": {},
            "clientInfo": wire.us(),
        }
        found = self._ask("initialize", params, patience=patience)
        version = found.get("protocolVersion")
        if version not in wire.HANDSHAKE_VERSIONS:
            raise ProtocolViolation("The MCP server speaks no revision that this server knows")
        self.version = version
        self._learn(found, found.get("serverInfo"))
        self.connection.notify(wire.notification("notifications/initialized"), self._headers())

    def call_tool(self, name: str, arguments: dict, schema: object = None) -> dict:
        """The result of `tools/call`; `isError` in it is the tool's own failure."""
        extra = wire.argument_headers(schema, arguments) if self.is_modern else {}
        return self._request("tools/call", {"name": name, "arguments": arguments}, extra=extra)

    def read_resource(self, uri: str) -> dict:
        return self._request("resources/read", {"uri": uri})

    def get_prompt(self, name: str, arguments: dict) -> dict:
        return self._request("prompts/get", {"name": name, "arguments": arguments})

    def listed(self, kind: str) -> list[dict]:
        """All `tools`, `resources`, `resources/templates` or `prompts`; [] if it has no such thing.

        What in the list is no object is left out.
        """
        if kind.partition("/")[0] not in self.capabilities:
            return []
        member = "resourceTemplates" if kind == "resources/templates" else kind
        try:
            return list(itertools.islice(self._items(f"{kind}/list", member), _MOST_ITEMS))
        except RpcError as error:
            if error.code == wire.METHOD_NOT_FOUND:
                return []
            raise

    def _items(self, method: str, member: str) -> Iterator[dict]:
        cursor, seen, size = None, set(), 0
        for _ in range(_MOST_PAGES):
            params = {} if cursor is None else {"cursor": cursor}
            page = self._request(method, params, patience=QUICK_SECONDS)
            items = page.get(member)
            if not isinstance(items, list):
                raise ProtocolViolation(f"The MCP server's answer to {method} has no list")
            size += len(orjson.dumps(items))
            if size > _MOST_BYTES:
                raise ProtocolViolation(f"The MCP server's list is longer than {_MOST_BYTES} bytes")
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
        patience: float = float("inf"),
    ) -> dict:
        """The complete result of a request. Raises McpError."""
        answers: dict = {}
        for _ in range(_MOST_ROUNDS):
            found = self._ask_in_session(method, {**params, **answers}, extra or {}, patience)
            if not self.is_modern or found.get("resultType", "complete") == "complete":
                return found
            if found["resultType"] != "input_required" or found.get("inputRequests"):
                break
            time.sleep(remaining(_AGAIN_SECONDS))
            state = found.get("requestState")
            answers = {} if state is None else {"requestState": state}
        raise Refused("The MCP server asks for a person's or a model's input, which is not there")

    def _ask_in_session(self, method, params, extra, patience) -> dict:
        generation = self._generation
        try:
            return self._ask(method, params, extra=extra, patience=patience)
        except SessionGone:
            self._renew(generation)
        return self._ask(method, params, extra=extra, patience=patience)

    def _renew(self, generation: int) -> None:
        """Shake hands again; once, if several threads find at the same time that it is needed."""
        with self._renewing:
            if self._generation == generation:
                self.initialize()
                self._generation += 1

    def _ask(self, method, params, *, version="", extra=None, patience=float("inf")) -> dict:
        version = version or self.version
        headers = self._headers(version) | (extra or {})
        if version in wire.MODERN_VERSIONS:
            params = {**params, "_meta": _envelope(version)}
            headers["Mcp-Method"] = method
            if name := params.get(wire.NAMED_BY.get(method, "")):
                headers["Mcp-Name"] = wire.header_value(name)
        message = wire.request(next(self._ids), method, params)
        patience = remaining(patience)
        return wire.result_of(self.connection.request(message, headers, patience=patience))

    def _headers(self, version: str = "") -> dict[str, str]:
        version = version or self.version
        return {"MCP-Protocol-Version": version} if version else {}

    def _learn(self, found: dict, server_info: object) -> None:
        capabilities = found.get("capabilities")
        self.capabilities = capabilities if isinstance(capabilities, dict) else {}
        self.server_info = server_info if isinstance(server_info, dict) else None


def _envelope(version: str) -> dict:
    return {
        wire.META_VERSION: version,
        wire.META_CLIENT: wire.us(),
        wire.META_CAPABILITIES: {},
    }
