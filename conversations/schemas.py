from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticKnownError

from conversations import privacy
from core.schemas import (
    INT64_MAX,
    Amount,
    Count,
    FreeObject,
    JSONValue,
    Schema,
    Text,
    Text64,
    Text255,
    Timestamp,
    member_error,
    text,
)
from core.viewsets import page_query
from templates_app.messages import ChatMessage, Role, unique_message_ids
from templates_app.schemas import MaxTokens, Temperature, Variables
from usage.reports.flat_members import DECORATOR_MEMBER
from usage.reports.reading import WITHOUT_COUNTS
from usage.schemas import UsageReport

MAX_MESSAGES = 10_000  # of one request

Level = Annotated[
    Literal[privacy.LEVELS],
    Field(description="What to store; the server's level applies if it is stricter."),
]

_ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_MESSAGE_ID = "0193b1a2-7c40-7b1c-9d2e-3f4a5b6c7d8e"
_AT = "2026-01-02T03:04:05.678901Z"
_BODY = {
    "title": "A parser",
    "system_prompt": "You are a careful engineer.",
    "model_alias": "deep",
    "temperature": 0.2,
    "project_id": "compiler",
}
_REPLY = {
    **_BODY,
    "id": _ID,
    "max_tokens": None,
    "api_key_id": "0193b1a2-0000-7000-8000-000000000001",
    "origin": None,
    "profile": None,
    "template_id": None,
    "message_count": 1,
    "total_input_tokens": 9,
    "total_output_tokens": 0,
    "total_cost": 0.00001,
    "created_at": _AT,
    "updated_at": _AT,
    "last_message_at": _AT,
}
_MESSAGE_BODY = {
    "role": "user",
    "content": "What is a grammar?",
    "input_tokens": 9,
    "metadata": {"cost": 0.00001},
}
_MESSAGE_REPLY = {
    **_MESSAGE_BODY,
    "id": _MESSAGE_ID,
    "conversation_id": _ID,
    "parent_id": None,
    "message_id": None,
    "name": None,
    "content_hash": "7d0a1ef2f5a53ef8e3d2dfb0ae5b1b6d6cfb6f0d5a2c1b3e4f5a6b7c8d9e0f1a",
    "tool_calls": None,
    "tool_call_id": None,
    "tool_results": None,
    "output_tokens": None,
    "token_count": 9,
    "receipt_id": None,
    "timestamp": _AT,
}


def _example(*examples: Any, **options: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(examples)}, **options)


# --- Conversations -----------------------------------------------------------


class _Settings(Schema):
    title: text(500) | None = None
    system_prompt: Text | None = None
    model_alias: Text255 | None = Field(None, description="`default` when absent.")
    max_tokens: MaxTokens | None = None


class NewConversation(_Settings):
    model_config = _example(_BODY)

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

    model_config = _example({"title": "Parsers"})

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


class MessagesQuery(page_query(default=100, maximum=1000)):
    pass


class RetentionQuery(Schema):
    retention_days: int | None = Field(
        None, ge=0, le=INT64_MAX, description="Absent or 0: LLMRING_MESSAGE_RETENTION_DAYS."
    )


# --- Messages ----------------------------------------------------------------


class NewMessage(ChatMessage):
    """A message and the privacy level to store it at."""

    model_config = _example(_MESSAGE_BODY)

    logging_level: Level = privacy.FULL


class MessageBatch(Schema):
    """Messages to append, all or none; a bare list is accepted too."""

    model_config = _example({"messages": [_MESSAGE_BODY]})

    messages: Annotated[
        list[ChatMessage], Field(max_length=MAX_MESSAGES), AfterValidator(unique_message_ids)
    ]
    logging_level: Level = privacy.FULL

    @model_validator(mode="before")
    @classmethod
    def _of_list(cls, value: Any) -> Any:
        return {"messages": value} if isinstance(value, list) else value


# --- Logged calls ------------------------------------------------------------


class LoggedMessage(ChatMessage):
    """A message that a logged call sent to its model."""

    role: Role = "user"


class LoggedResponse(ChatMessage):
    """The message that a model answered."""

    role: Role = "assistant"
    model: Text255 | None = None
    finish_reason: Text | None = None
    usage: FreeObject | None = None


# Of calls that the released client's decorator logs; logs of usage have DECORATOR_MEMBER besides.
DECORATOR_ORIGIN = "llmring-decorator"


class CallNumbers(UsageReport):
    """Metadata of a call. Its usage is stated as in a log; counts are optional."""

    provider: Text255
    model: Text255
    alias: Text255 | None = None
    profile: Text64 | None = None
    origin: Text255 | None = Field(None, description="`llmring` when absent.")
    cost: Amount | None = Field(
        None,
        description="US dollars; default: the sum of its parts, else by the registry's prices.",
    )
    input_cost: Amount | None = None
    output_cost: Amount | None = None
    cached_tokens: Count | None = Field(None, description="Another name of `cached_input_tokens`.")
    conversation_id: Text | None = Field(
        None,
        description="A conversation of yours to continue; its messages are not stored again.",
    )
    project_id: Text255 | None = None
    lock_digest: Text255 | None = Field(
        None, description="Digest of the client's lockfile, for the receipt."
    )

    @property
    def states_counts(self) -> bool:
        return self.usage is not None or (self.input_tokens, self.output_tokens) != (None, None)

    def _report(self) -> Self:
        report = {"cost": self._stated_cost()}
        if self.cached_input_tokens is None:
            report["cached_input_tokens"] = self.cached_tokens
        if self.usage is None and self.usage_status not in WITHOUT_COUNTS:
            report["input_tokens"] = self.input_tokens or 0
            report["output_tokens"] = self.output_tokens or 0
        if self.origin == DECORATOR_ORIGIN:
            report["metadata"] = {DECORATOR_MEMBER: self.alias, **self.metadata}
        return self.model_copy(update=report)

    def _stated_cost(self) -> Decimal | None:
        """Return the cost stated by the caller, in total or in parts."""
        parts = [part for part in (self.input_cost, self.output_cost) if part is not None]
        return sum(parts, Decimal(0)) if parts and not self.cost else self.cost


class LoggedCall(Schema):
    model_config = _example(
        {
            "messages": [{"role": "user", "content": "What is a grammar?"}],
            "response": {
                "content": "A set of rules.",
                "model": "gpt-4o-mini",
                "finish_reason": "stop",
            },
            "metadata": {
                "provider": "openai",
                "model": "gpt-4o-mini",
                "alias": "fast",
                "input_tokens": 9,
                "output_tokens": 5,
            },
        }
    )

    messages: Annotated[
        list[LoggedMessage], Field(max_length=MAX_MESSAGES), AfterValidator(unique_message_ids)
    ]
    response: LoggedResponse
    metadata: CallNumbers
    logging_level: Level = privacy.FULL

    @model_validator(mode="after")
    def _answer_has_its_own_id(self) -> "LoggedCall":
        id = self.response.message_id
        if id is not None and any(message.message_id == id for message in self.messages):
            raise member_error(
                "repeated_message_id",
                "Another message of the call has this id",
                "response",
                "message_id",
                input=id,
            )
        return self


class LoggedCallReply(Schema):
    model_config = _example({"conversation_id": _ID, "message_id": _MESSAGE_ID, "receipt": None})

    conversation_id: str = Field(description="Empty if nothing was stored.")
    message_id: str = Field(description="Id of the answer's message.")
    receipt: dict[str, Any] | None


# --- Imports -----------------------------------------------------------------


def _within_ids(value: datetime) -> datetime:
    if not 1970 < value.year < 9000:
        raise PydanticKnownError("datetime_parsing", {"error": "years are 1971 to 8999"})
    return value


# A time that a UUIDv7 can carry.
Moment = Annotated[Timestamp, AfterValidator(_within_ids)]


class ImportedMessage(ChatMessage):
    """A message of an export."""

    timestamp: Moment
    id: JSONValue = None
    content_hash: Text64 | None = None


class ImportedConversation(NewConversation):
    """A line of an export."""

    id: UUID
    created_at: Moment
    updated_at: Moment | None = None
    messages: Annotated[list[ImportedMessage], AfterValidator(unique_message_ids)] = []


class ImportResult(Schema):
    model_config = _example({"imported": 1, "skipped": 0, "messages": 2})

    imported: int
    skipped: int
    messages: int


# --- Replies -----------------------------------------------------------------


class Conversation(Schema):
    """A conversation in replies."""

    model_config = _example(_REPLY)

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


class Message(Schema):
    """A message in replies, with the members that a provider added to it."""

    model_config = _example(_MESSAGE_REPLY, extra="allow")

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


class ConversationDetail(Conversation):
    model_config = _example({**_REPLY, "messages": [_MESSAGE_REPLY]})

    messages: list[Message]


class DeletedMessages(Schema):
    model_config = _example({"deleted_count": 12, "retention_days": 30})

    deleted_count: int
    retention_days: int
