"""The lists that replace the items of a server."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from core.schemas import FreeObject, Name255, Schema, Text, Text255, example, storable, text
from mcp.models import MAX_INDEXED_BYTES
from mcp.schemas import examples
from mcp.schemas.items import Prompt, Resource, Tool
from mcp.schemas.servers import Server

MAX_ITEMS = 5_000  # of one kind in one refresh


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
    """A tool as in MCP."""

    name: Name255
    title: Text | None = None
    description: Text | None = None
    inputSchema: FreeObject | None = Field(None, description="Also as `input_schema`.")
    input_schema: SkipJsonSchema[FreeObject | None] = None
    outputSchema: FreeObject | None = None
    annotations: FreeObject | None = None


class ResourceItem(Schema):
    """A resource as in MCP."""

    uri: ResourceUri
    name: Text255 | None = None
    title: Text | None = None
    description: Text | None = None
    mimeType: Text255 | None = Field(None, description="Also as `mime_type`.")
    mime_type: SkipJsonSchema[Text255 | None] = None


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


class RefreshedServer(Schema):
    model_config = example(examples.REFRESHED)

    server: Server
    tools: list[Tool]
    resources: list[Resource]
    prompts: list[Prompt]
