"""Bodies, queries and replies of the MCP routes."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasPath,
    BeforeValidator,
    Field,
    RootModel,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from core.schemas import (
    INT64_MAX,
    FreeList,
    FreeObject,
    Name255,
    Schema,
    Text,
    Text64,
    Text255,
    example,
    storable,
    text,
)
from core.viewsets import page_query
from mcp import credentials, examples
from mcp.models import MAX_INDEXED_BYTES, MAX_PAGE_ROWS, Transport

MAX_ITEMS = 5_000  # of one kind in one refresh
TransportType = Literal[tuple(Transport.values)]


# --- Bodies ----------------------------------------------------------------


class ServerChanges(Schema):
    """Members that are sent change; null leaves them unchanged, `{}` clears an object."""

    model_config = example({"is_active": False})

    name: Name255 | None = None
    url: text(1000) | None = Field(
        None, description="A URL; for stdio a command line that the operator listed."
    )
    transport_type: TransportType | None = None
    auth_config: FreeObject | None = Field(
        None, description="Credentials, by `type`; encrypted, and masked in replies."
    )
    capabilities: FreeObject | None = None
    is_active: bool | None = None
    legacy: bool | None = Field(
        None, description="Send `initialize` first, for servers older than 2026-07-28."
    )
    timeout_seconds: float | None = Field(
        None,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="Time limit of a call; 0 for LLMRING_MCP_TIMEOUT.",
    )
    project_id: Text255 | None = Field(None, description="The client's own label.")


class NewServer(ServerChanges):
    model_config = example(examples.NEW_SERVER)

    name: Name255
    url: text(1000, min_length=1) = Field(
        description="A URL; for stdio a command line that the operator listed."
    )
    transport_type: TransportType


class NewTool(Schema):
    model_config = example(examples.NEW_TOOL)

    server_id: UUID
    name: Name255
    description: Text | None = None
    input_schema: FreeObject = Field(description="JSON Schema of the input.")


class ExecutionRequest(Schema):
    """A call to make; with `output`, `error` or `duration_ms`, a call to record."""

    model_config = example(examples.EXECUTION_REQUEST)

    input: FreeObject = Field(description="The tool's arguments.")
    output: FreeObject | None = None
    error: Text | None = None
    duration_ms: int | None = Field(None, ge=0, le=INT64_MAX)
    conversation_id: UUID | None = Field(None, description="A conversation of yours.")

    @property
    def is_report(self) -> bool:
        """Whether the client made the call itself."""
        reported = (self.output, self.error, self.duration_ms)
        return any(value is not None for value in reported)


class Acceptance(Schema):
    model_config = example({"fingerprint": examples.TOOL["fingerprint"]})
    body_is_optional: ClassVar[bool] = True

    fingerprint: Text64 | None = Field(
        None, description="The fingerprint that you reviewed; any other is 409."
    )


class PromptArguments(RootModel[FreeObject]):
    """The map of arguments, or `{"arguments": {…}}`."""

    model_config = example(examples.RENDERED["arguments"])
    body_is_optional: ClassVar[bool] = True


def _fits_index(uri: str) -> str:
    if len(uri.encode()) > MAX_INDEXED_BYTES:
        raise PydanticCustomError(
            "string_too_long",
            "String should have at most {max_bytes} bytes",
            {"max_bytes": MAX_INDEXED_BYTES},
        )
    return uri


def _list_or_object(value: Any) -> list | dict:
    if not isinstance(value, list | dict):
        raise PydanticCustomError("list_type", "Input should be a valid list or dictionary")
    return storable(value)


ResourceUri = Annotated[text(1000, min_length=1), AfterValidator(_fits_index)]
# A list as in MCP, or an object.
DeclaredArguments = Annotated[
    Any,
    AfterValidator(_list_or_object),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {}}, {"type": "object"}]}),
]


class ToolItem(Schema):
    """A tool as in MCP, or with `input_schema`."""

    name: Name255
    title: Text | None = None
    description: Text | None = None
    inputSchema: FreeObject | None = None
    input_schema: FreeObject | None = None
    outputSchema: FreeObject | None = None
    annotations: FreeObject | None = None


class ResourceItem(Schema):
    """A resource as in MCP, or with `mime_type`."""

    uri: ResourceUri
    name: Text255 | None = None
    title: Text | None = None
    description: Text | None = None
    mimeType: Text255 | None = None
    mime_type: Text255 | None = None


class PromptItem(Schema):
    name: Name255
    title: Text | None = None
    description: Text | None = None
    arguments: DeclaredArguments | None = None


class RefreshLists(Schema):
    """Lists that replace the stored items. Without any, the server is asked."""

    model_config = example(examples.REFRESH_LISTS)
    body_is_optional: ClassVar[bool] = True

    tools: list[ToolItem] | None = Field(None, max_length=MAX_ITEMS)
    resources: list[ResourceItem] | None = Field(None, max_length=MAX_ITEMS)
    prompts: list[PromptItem] | None = Field(None, max_length=MAX_ITEMS)

    @property
    def is_empty(self) -> bool:
        return self.tools is None and self.resources is None and self.prompts is None


# --- Queries ---------------------------------------------------------------


# Clients expect whole lists: the contract has no paging here.
class ServersQuery(page_query(default=100_000, maximum=100_000)):
    is_active: bool = Field(True, description="false: only inactive ones.")


class ItemsQuery(ServersQuery):
    server_id: UUID | None = None


class HistoryQuery(Schema):
    limit: int = Field(100, ge=0, description=f"At most {MAX_PAGE_ROWS:,} are returned.")
    cursor: UUID | None = Field(
        None, description="`X-Next-Cursor` of the page before: older executions."
    )


class ExecutionsQuery(HistoryQuery):
    tool_id: UUID | None = None
    conversation_id: UUID | None = None


# --- Replies ---------------------------------------------------------------


class Server(Schema):
    model_config = example(examples.SERVER)

    name: str
    url: str
    transport_type: TransportType
    auth_config: Annotated[Any, BeforeValidator(credentials.masked_config)] = Field(
        description="With masked secrets."
    )
    capabilities: dict[str, Any] | None
    is_active: bool
    id: UUID
    api_key_id: UUID | None
    project_id: str | None = Field(validation_alias="project_label")
    created_at: datetime
    updated_at: datetime
    reachable: bool | None
    last_error: str
    contacted_at: datetime | None
    refreshed_at: datetime | None
    protocol_version: str
    prefix: str = Field(description="Begins the names of its items on `/mcp`.")
    legacy: bool
    timeout_seconds: float | None


class ServerOfTool(Schema):
    id: UUID
    name: str
    url: str


class _Item(Schema):
    is_active: bool
    id: UUID
    server_id: UUID
    api_key_id: UUID | None
    project_id: str | None = Field(
        validation_alias=AliasPath("server", "project_label"),
        description="The label of the server.",
    )
    created_at: datetime
    title: str | None


class _ToolDefinition(Schema):
    name: str
    description: str | None
    input_schema: dict[str, Any]


class Tool(_Item, _ToolDefinition):
    model_config = example(examples.TOOL)

    output_schema: dict[str, Any] | None
    annotations: dict[str, Any] | None
    changed: bool = Field(
        validation_alias="is_changed", description="Its definition is not the accepted one."
    )
    fingerprint: str
    server: ServerOfTool


class _ResourceDefinition(Schema):
    uri: str
    name: str
    description: str | None
    mime_type: str | None


class Resource(_Item, _ResourceDefinition):
    model_config = example(examples.RESOURCE)


class _PromptDefinition(Schema):
    name: str
    description: str | None
    arguments: list[Any] | dict[str, Any] | None


class Prompt(_Item, _PromptDefinition):
    model_config = example(examples.PROMPT)


class Execution(Schema):
    model_config = example(examples.EXECUTION)

    id: UUID
    tool_id: UUID
    conversation_id: UUID | None
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    duration_ms: int | None
    executed_at: datetime
    error_kind: str | None


class RefreshedServer(Schema):
    model_config = example(examples.REFRESHED)

    server: Server
    tools: list[Tool]
    resources: list[Resource]
    prompts: list[Prompt]


class DeletedServer(Schema):
    model_config = example(examples.DELETED)

    message: str


class ResourceOfServer(Resource):
    model_config = example(examples.CONTENT["resource"])

    server_name: str = Field(validation_alias=AliasPath("server", "name"))
    server_url: str = Field(validation_alias=AliasPath("server", "url"))


class PromptOfServer(Prompt):
    model_config = example(examples.RENDERED["prompt"])

    server_name: str = Field(validation_alias=AliasPath("server", "name"))
    server_url: str = Field(validation_alias=AliasPath("server", "url"))


class ResourceContent(Schema):
    model_config = example(examples.CONTENT)

    resource: ResourceOfServer
    content: Any = Field(
        description="The first part's text, or its base64 if it is binary; null without parts."
    )
    contents: FreeList = Field(description="All parts as in MCP.")
    mime_type: Any
    error: str | None


class RenderedPrompt(Schema):
    model_config = example(examples.RENDERED)

    prompt: PromptOfServer
    arguments: FreeObject
    rendered: str | None = Field(description="The texts of all messages.")
    messages: FreeList = Field(description="The messages as in MCP.")
    description: str | None
    error: str | None
