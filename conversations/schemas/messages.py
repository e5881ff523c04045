"""Messages: how they are appended, shown and deleted."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from conversations import privacy
from conversations.schemas.examples import MESSAGE_BODY, MESSAGE_REPLY
from core.chat_messages import ChatMessage, unique_message_ids
from core.schemas import INT64_MAX, Schema, example
from core.viewsets import page_query

MAX_MESSAGES = 10_000  # of one request

Level = Annotated[
    Literal[privacy.LEVELS],
    Field(description="What to store; the server's level applies if it is stricter."),
]


class NewMessage(ChatMessage):
    """A message and the privacy level to store it at."""

    model_config = example(MESSAGE_BODY)

    logging_level: Level = privacy.FULL


class MessageBatch(Schema):
    """Messages to append, all or none; a bare list is accepted too."""

    model_config = example({"messages": [MESSAGE_BODY]})

    messages: Annotated[
        list[ChatMessage], Field(max_length=MAX_MESSAGES), AfterValidator(unique_message_ids)
    ]
    logging_level: Level = privacy.FULL

    @model_validator(mode="before")
    @classmethod
    def _of_list(cls, value: Any) -> Any:
        return {"messages": value} if isinstance(value, list) else value


class MessagesQuery(page_query(default=100, maximum=1000)):
    pass


class RetentionQuery(Schema):
    retention_days: int | None = Field(
        None, ge=0, le=INT64_MAX, description="Absent or 0: LLMRING_MESSAGE_RETENTION_DAYS."
    )


class Message(Schema):
    """A message in replies, with the members that a provider added to it."""

    model_config = example(MESSAGE_REPLY, extra="allow")

    id: UUID | None = Field(description="Null if nothing was stored.")
    conversation_id: UUID
    parent_id: UUID | None = Field(description="The preceding message of its branch.")
    message_id: str | None = Field(description="The client's own id.")
    role: str
    name: str | None
    content: str | list[Any] | dict[str, Any] | None
    content_hash: str | None
    tool_calls: list[dict[str, Any]] | None
    tool_call_id: str | None
    tool_results: list[dict[str, Any]] | None
    metadata: dict[str, Any]
    input_tokens: int | None
    output_tokens: int | None
    token_count: int | None
    receipt_id: str | None
    timestamp: datetime | None


class DeletedMessages(Schema):
    model_config = example({"deleted_count": 12, "retention_days": 30})

    deleted_count: int
    retention_days: int
