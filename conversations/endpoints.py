"""The calls that models wait for, for the edge and the views alike."""

from conversations import payloads, services, sizes
from conversations.payloads import Payload
from conversations.schemas.conversations import OpenQuery
from conversations.schemas.messages import MessageBatch, NewMessage
from core.edge_request import Request
from core.paths import uuid_in_path
from core.scoping import Caller

_ID = "conversation_id"


def open_conversation(caller: Caller, conversation_id: str, query: OpenQuery) -> Payload:
    """Return a conversation with its newest messages. Raises Http404, InvalidInput."""
    limit = query.message_limit if query.include_messages else 0
    return services.open_conversation(
        caller, uuid_in_path(conversation_id, _ID), message_limit=limit
    )


def size_of(request: Request) -> dict[str, bool]:
    """Return whether the body that was sent is small, for what stores it."""
    return {"is_small": request.body_size <= sizes.MAX_BODY_ON_LOOP}


async def append_message(
    caller: Caller, conversation_id: str, message: NewMessage, *, is_small: bool = False
) -> Payload:
    """Store a message and return it. Raises what `services.append_messages` does."""
    id = uuid_in_path(conversation_id, _ID)
    stored = await services.append_message(caller, id, message, is_small=is_small)
    return stored or payloads.unstored_message_payload(message.role, id)


def append_batch(caller: Caller, conversation_id: str, batch: MessageBatch) -> list[Payload]:
    """Store messages, all or none, and return them. Raises what `services.append_messages` does."""
    id = uuid_in_path(conversation_id, _ID)
    services.check_message_logging()
    return services.append_messages(caller, id, batch.messages, batch.logging_level)
