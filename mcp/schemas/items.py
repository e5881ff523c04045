"""Tools, resources and prompts, and what comes of reading and rendering them."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import AliasPath, Field, RootModel

from core.schemas import FreeList, FreeObject, Name255, Schema, Text, Text64, example
from mcp.schemas import examples
from mcp.schemas.servers import ServersQuery


class ItemsQuery(ServersQuery):
    server_id: UUID | None = None


class Item(Schema):
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


class NewTool(Schema):
    model_config = example(examples.NEW_TOOL)

    server_id: UUID
    name: Name255
    description: Text | None = None
    input_schema: FreeObject = Field(description="JSON Schema of the input.")


class ServerOfTool(Schema):
    id: UUID
    name: str
    url: str


class _ToolDefinition(Schema):
    name: str
    description: str | None
    input_schema: dict[str, Any]


class Tool(Item, _ToolDefinition):
    model_config = example(examples.TOOL)

    output_schema: dict[str, Any] | None
    annotations: dict[str, Any] | None
    changed: bool = Field(
        validation_alias="is_changed", description="Its definition is not the accepted one."
    )
    fingerprint: str
    server: ServerOfTool


class Acceptance(Schema):
    model_config = example({"fingerprint": examples.TOOL["fingerprint"]})
    body_is_optional: ClassVar[bool] = True

    fingerprint: Text64 | None = Field(
        None, description="The fingerprint that you reviewed; any other is 409."
    )


class _ResourceDefinition(Schema):
    uri: str
    name: str
    description: str | None
    mime_type: str | None


class Resource(Item, _ResourceDefinition):
    model_config = example(examples.RESOURCE)


class ResourceOfServer(Resource):
    model_config = example(examples.CONTENT["resource"])

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


class _PromptDefinition(Schema):
    name: str
    description: str | None
    arguments: list[Any] | dict[str, Any] | None


class Prompt(Item, _PromptDefinition):
    model_config = example(examples.PROMPT)


class PromptOfServer(Prompt):
    model_config = example(examples.RENDERED["prompt"])

    server_name: str = Field(validation_alias=AliasPath("server", "name"))
    server_url: str = Field(validation_alias=AliasPath("server", "url"))


class PromptArguments(RootModel[FreeObject]):
    """The map of arguments, or `{"arguments": {…}}`."""

    model_config = example(examples.RENDERED["arguments"])
    body_is_optional: ClassVar[bool] = True


class RenderedPrompt(Schema):
    model_config = example(examples.RENDERED)

    prompt: PromptOfServer
    arguments: FreeObject
    rendered: str | None = Field(description="The texts of all messages.")
    messages: FreeList = Field(description="The messages as in MCP.")
    description: str | None
    error: str | None
