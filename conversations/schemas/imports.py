"""Lines of an export, as they are imported."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator
from pydantic_core import PydanticKnownError

from conversations.schemas.conversations import NewConversation
from core.chat_messages import ChatMessage, unique_message_ids
from core.schemas import Count, JSONValue, Schema, Text64, Timestamp, example


def _within_ids(value: datetime) -> datetime:
    if not 1970 < value.year < 9000:
        raise PydanticKnownError("datetime_parsing", {"error": "years are 1971 to 8999"})
    return value


# A time that a UUIDv7 can carry.
Moment = Annotated[Timestamp, AfterValidator(_within_ids)]


class ImportedMessage(ChatMessage):
    """A message of an export."""

    timestamp: Moment
    # A logged call may have more tokens than an appended message.
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    token_count: Count | None = None
    id: JSONValue = None
    content_hash: Text64 | None = None


class ImportedConversation(NewConversation):
    """A line of an export."""

    id: UUID
    created_at: Moment
    updated_at: Moment | None = None
    last_message_at: Moment | None = None
    messages: Annotated[list[ImportedMessage], AfterValidator(unique_message_ids)] = []


class ImportResult(Schema):
    model_config = example({"imported": 1, "skipped": 0, "messages": 2})

    imported: int
    skipped: int
    messages: int
