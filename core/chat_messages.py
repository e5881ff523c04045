"""A chat message, whoever sends it: templates, messages, batches, logged calls, imports.

The members are those of OpenAI's chat messages. What a provider adds to them (reasoning,
refusals, content blocks, signatures) is kept as it came, so that a history can be sent
back. Source: docs/http-contract/conversations.md, section "A message".
"""

from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from core.schemas import (
    AMOUNT_MAX,
    Amount,
    AnyObject,
    Count32,
    JSONValue,
    Schema,
    Text,
    member_error,
    storable,
    text,
    twelve_places,
    without_nul,
)

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_amount = TypeAdapter(Amount)


def _content(value: Any) -> Any:
    if isinstance(value, str):
        return without_nul(value)
    if not isinstance(value, list | dict):
        raise PydanticCustomError("string_type", "Input should be a valid string, list or object")
    return storable(value)


@lru_cache(10_000)  # in a batch, most messages cost the same
def _exact_dollars(digits: str) -> Decimal:
    return twelve_places(Decimal(digits))


def parse_dollars(value: Any) -> Decimal | None:
    """Return an amount of US dollars, exactly as written; None for null.

    Raises pydantic's ValidationError for anything that is not an amount.
    """
    if _is_usual_amount(value):
        return _exact_dollars(repr(value))
    return None if value is None else _amount.validate_python(value)


def _is_usual_amount(value: Any) -> bool:
    return type(value) is float and 0 <= value <= AMOUNT_MAX


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > 1 or "cost" not in value:
        storable(value)
    cost = value.get("cost")
    if cost is None or _is_usual_amount(cost):
        return value
    try:
        parse_dollars(cost)
    except ValidationError as error:
        [entry, *_] = error.errors(include_url=False)
        context = entry.get("ctx", {})
        raise member_error(entry["type"], entry["msg"], "cost", input=cost, **context) from None
    return value


Role = Annotated[
    str,
    BeforeValidator(lambda role: "assistant" if role == "model" else role),  # Gemini's name
    Field(pattern=f"^({'|'.join(ROLES)})$"),
    WithJsonSchema({"type": "string", "enum": [*ROLES]}),
]
Content = Annotated[
    Any,
    BeforeValidator(_content),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}, {"type": "object"}]}
    ),
]
# One object alone is a list of one.
Objects = Annotated[
    list[dict[str, Any]],
    BeforeValidator(lambda value: [value] if isinstance(value, dict) else value),
    AfterValidator(storable),
]
Metadata = Annotated[AnyObject, AfterValidator(_metadata)]


class ChatMessage(Schema):
    """A message. Members that are not listed are kept and returned as they came."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Text, JSONValue]
    # Members of replies, which a copy of a message brings along, and of requests.
    NOT_STORED: ClassVar = frozenset(
        ("id", "conversation_id", "content_hash", "receipt_id", "timestamp", "logging_level")
    )

    role: Role
    content: Content | None = Field(None, description="Text, a list of parts, an object, or null.")
    name: Text | None = None
    tool_calls: Objects | None = None
    tool_call_id: Text | None = None
    tool_results: Objects | None = None
    metadata: Metadata | None = Field(
        None, description="Free object; `cost` (US dollars) adds to the conversation's total."
    )
    input_tokens: Count32 | None = None
    output_tokens: Count32 | None = None
    token_count: Count32 | None = Field(
        None, description="Total, if input and output are not counted separately."
    )
    message_id: text(255, min_length=1) | None = Field(
        None, description="The client's own id, unique in the conversation."
    )
    parent_id: UUID | None = Field(None, description="The preceding message; default: the newest.")

    def sent_members(self) -> dict[str, Any]:
        """Return the members that the client sent and that belong to the message."""
        return {name: value for name, value in self.sent().items() if name not in self.NOT_STORED}

    def extra(self) -> dict[str, Any]:
        """Return the provider's own members."""
        return {
            name: value
            for name, value in self.__pydantic_extra__.items()
            if name not in self.NOT_STORED
        }


def unique_message_ids(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Return `messages`; refuse two of one id, which could not both be stored."""
    seen = set()
    for position, message in enumerate(messages):
        id = message.message_id
        if id is not None and id in seen:
            raise member_error(
                "repeated_message_id",
                "Another message of the list has this id",
                position,
                "message_id",
                input=id,
            )
        seen.add(id)
    return messages
