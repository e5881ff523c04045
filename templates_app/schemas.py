from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, Field

from core.chat_messages import ChatMessage, unique_message_ids
from core.schemas import (
    INT32_MAX,
    FreeObject,
    Name255,
    Schema,
    Text,
    Text255,
    example,
    member_error,
    storable,
)
from core.viewsets import page_query
from templates_app import rendering
from templates_app.models import DEFAULT_MODEL

MAX_MESSAGES = 100
MAX_VARIABLES = 100


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if not rendering.NAME.fullmatch(name):
            message = (
                "Names are letters, digits and underscores, not beginning with a digit, 64 at most"
            )
            raise member_error("variable_name", message, name, input=name)
        if isinstance(value, list | dict):
            message = "Input should be text, a number or a truth value"
            raise member_error("variable_value", message, name, input=value)
    return values


# Text, numbers and truth values by name; null where there is none.
Variables = Annotated[
    dict[str, Any],
    Field(max_length=MAX_VARIABLES),
    AfterValidator(storable),
    AfterValidator(_variables),
]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
MaxTokens = Annotated[int, Field(ge=1, le=INT32_MAX)]

_BODY = {
    "name": "Reviewer",
    "system_prompt": "You review {{language}} code.",
    "variables": {"language": "Python"},
    "model": DEFAULT_MODEL,
    "temperature": 0.2,
    "created_by": "ada",
}
_REPLY = {
    **_BODY,
    "id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "description": None,
    "messages": [],
    "max_tokens": None,
    "tool_config": {},
    "api_key_id": "0193b1a2-0000-7000-8000-000000000001",
    "project_id": None,
    "is_global": False,
    "is_active": True,
    "usage_count": 0,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05.678901Z",
    "last_used_at": None,
}


class _TemplateMembers(Schema):
    description: Text | None = None
    system_prompt: Text | None = Field(None, description="Variables stand in it as `{{name}}`.")
    messages: (
        Annotated[
            list[ChatMessage], Field(max_length=MAX_MESSAGES), AfterValidator(unique_message_ids)
        ]
        | None
    ) = None
    variables: Variables | None = Field(
        None, description="Every variable with its default; null: a value must be given."
    )
    model: Text255 | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    tool_config: FreeObject | None = None

    # Null clears these; where a value is needed, it changes nothing.
    CLEARABLE: ClassVar = {"description", "system_prompt", "max_tokens"}

    def columns(self) -> dict[str, Any]:
        """Return the columns that the client set."""
        columns = {
            name: value
            for name, value in self.sent().items()
            if value is not None or name in self.CLEARABLE
        }
        if self.messages is not None:
            columns["messages"] = [message.sent_members() for message in self.messages]
        return columns


class NewTemplate(_TemplateMembers):
    model_config = example(_BODY)

    name: Name255
    model: Text255 | None = Field(None, description=f"`{DEFAULT_MODEL}` when absent.")
    created_by: Text255 | None = None
    project_id: Text255 | None = Field(
        None, description="Any text of the client's; gives access to nothing."
    )

    def columns(self) -> dict[str, Any]:
        columns = super().columns()
        return columns | {"project_label": columns.pop("project_id", None)}


class TemplateChanges(_TemplateMembers):
    """Members that are sent change."""

    model_config = example({"temperature": 0})

    name: Name255 | None = None
    is_active: bool | None = None


class TemplateUse(Schema):
    model_config = example({"values": {"language": "Rust"}})
    body_is_optional = True

    values: Variables | None = Field(
        None, description="Values by variable; the reply then has `rendered`."
    )


class TemplatesQuery(page_query(default=50, maximum=100)):
    created_by: Text | None = None


class TemplateStatsQuery(Schema):
    limit: int = Field(20, ge=1, le=50)


class Template(Schema):
    """A template in replies."""

    model_config = example(_REPLY)

    id: UUID
    name: str
    description: str | None
    system_prompt: str | None
    messages: list[dict[str, Any]]
    variables: dict[str, Any]
    model: str
    temperature: float
    max_tokens: int | None
    tool_config: dict[str, Any]
    created_by: str | None
    api_key_id: UUID | None
    project_id: str | None = Field(validation_alias="project_label")
    is_global: bool = Field(description="Created by the operator, for all projects.")
    is_active: bool
    usage_count: int
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None


class RenderedTemplate(Schema):
    system_prompt: str | None
    messages: list[dict[str, Any]]


class UsedTemplate(Template):
    """A template, and its rendered texts if values were sent."""

    model_config = example(
        {
            **_REPLY,
            "rendered": {"system_prompt": "You review Rust code.", "messages": []},
        }
    )

    rendered: RenderedTemplate


class TemplateStatistics(Schema):
    model_config = example(
        {
            "template_id": _REPLY["id"],
            "template_name": "Reviewer",
            "usage_count": 3,
            "last_used_at": _REPLY["created_at"],
            "created_at": _REPLY["created_at"],
        }
    )

    template_id: UUID = Field(validation_alias="id")
    template_name: str = Field(validation_alias="name")
    usage_count: int
    last_used_at: datetime | None
    created_at: datetime


class Deletion(Schema):
    """The reply to a deletion."""

    message: str
