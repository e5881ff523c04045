"""Conversations: how they begin, change, are found and shown."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from conversations.schemas.examples import BODY, MESSAGE_REPLY, REPLY
from conversations.schemas.messages import Message
from core.schemas import Schema, Text, Text64, Text255, example, text
from core.viewsets import page_query
from templates_app.schemas import MaxTokens, Temperature, Variables


class _Settings(Schema):
    title: text(500) | None = None
    system_prompt: Text | None = None
    model_alias: Text255 | None = None
    max_tokens: MaxTokens | None = None


class NewConversation(_Settings):
    model_config = example(BODY)

    model_alias: Text255 | None = Field(None, description="`default` when absent.")
    temperature: Temperature = Field(None, description="0.7 when absent.")
    project_id: Text255 | None = Field(
        None, description="The client's own label; gives access to nothing."
    )
    origin: Text255 | None = Field(None, description="The application that has the conversation.")
    profile: Text64 | None = None
    template_id: UUID | None = Field(
        None, description="Template to start from; it supplies members that are not sent."
    )
    values: Variables | None = Field(None, description="Values of the template's variables.")


class ConversationChanges(_Settings):
    """Members that are sent change. Null clears optional members, and leaves others unchanged."""

    model_config = example({"title": "Parsers"})

    temperature: Temperature | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns that the client changes."""
        return {
            name: value
            for name, value in self.sent().items()
            if value is not None or name in ("title", "system_prompt", "max_tokens")
        }


class ConversationsQuery(page_query(default=20, maximum=100)):
    q: Text | None = Field(
        None, description="Words that must all occur in the title or in messages."
    )
    project_id: Text | None = Field(None, description="The label sent at creation.")
    origin: Text | None = None
    model_alias: Text | None = None


class OpenQuery(Schema):
    include_messages: bool = True
    message_limit: int = Field(100, ge=1, le=1000, description="How many of the newest messages.")


class Conversation(Schema):
    """A conversation in replies."""

    model_config = example(REPLY)

    id: UUID
    title: str | None
    system_prompt: str | None
    model_alias: str
    temperature: float
    max_tokens: int | None
    api_key_id: UUID | None = Field(description="Public id of the key that created it.")
    project_id: str | None
    origin: str | None
    profile: str | None
    template_id: UUID | None
    message_count: int
    total_input_tokens: int
    total_output_tokens: int
    total_cost: float = Field(description="US dollars.")
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime | None


class ConversationDetail(Conversation):
    model_config = example({**REPLY, "messages": [MESSAGE_REPLY]})

    messages: list[Message]
