"""Creating conversations, from nothing or from a template, and appending messages."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from conversations import appending, history, payloads, privacy, sizes, storage, writer
from conversations.models import DEFAULT_ALIAS, Conversation, Message
from conversations.payloads import Payload
from conversations.schemas.conversations import NewConversation
from conversations.schemas.messages import MessageBatch, NewMessage
from conversations.storage import PreparedConversation, Row
from conversations.turns import MessageIdReused, Turn
from core import bridge, ids, parsing
from core.chat_messages import ChatMessage
from core.database.raw_connection import pooled_cursor
from core.errors import DomainError, InvalidInput, issue
from core.scoping import Caller
from templates_app import services as template_services

DEFAULT_TEMPERATURE = 0.7


class TrackingDisabled(DomainError):
    code = "tracking_disabled"


class MessageLoggingDisabled(DomainError):
    code = "message_logging_disabled"


def check_tracking() -> None:
    """Raise TrackingDisabled when this server stores no conversations."""
    if not settings.CONVERSATION_TRACKING:
        raise TrackingDisabled("Conversation tracking is disabled")


def check_message_logging() -> None:
    """Raise MessageLoggingDisabled when this server stores no messages at all."""
    if settings.MESSAGE_LOGGING_LEVEL == privacy.NONE:
        raise MessageLoggingDisabled("Message logging is disabled")


async def create_conversation(
    caller: Caller, body: NewConversation, *, is_small: bool = False
) -> Payload:
    """Store a conversation and return its payload. A template's messages are its first ones.

    On the event loop if the body `is_small`, else in a thread.
    Raises TrackingDisabled; with a template also Http404 and InvalidInput.
    """
    check_tracking()
    if body.template_id is not None:
        return await bridge.in_thread(_create_from_template, caller, body)
    if not is_small:
        return await bridge.in_thread(_create_now, caller, body)
    new = _prepare(caller, body)
    await writer.insert(new)
    return payloads.conversation_payload(new.row)


def _create_now(caller: Caller, body: NewConversation) -> Payload:
    new = _prepare(caller, body)
    storage.insert_now(new)
    return payloads.conversation_payload(new.row)


def _create_from_template(caller: Caller, body: NewConversation) -> Payload:
    with transaction.atomic(), connection.cursor() as cursor:
        template = template_services.get_template(caller, body.template_id)
        prompt = template_services.use(template, body.values or {})
        defaults = {
            "title": template.name,
            "system_prompt": prompt["system_prompt"],
            "model_alias": template.model,
            "temperature": template.temperature,
            "max_tokens": template.max_tokens,
        }
        missing = {name: value for name, value in defaults.items() if getattr(body, name) is None}
        # Values may have made ids of messages empty or equal.
        batch = parsing.validate(
            MessageBatch, {"messages": prompt["messages"]}, loc=("body", "values")
        )
        new = _prepare(caller, body.model_copy(update=missing), batch.messages)
        storage.insert(cursor, new)
    return payloads.conversation_payload(new.row)


def _prepare(
    caller: Caller, body: NewConversation, messages: Sequence[ChatMessage] = ()
) -> PreparedConversation:
    at = datetime.now(UTC)
    level = privacy.effective(privacy.FULL)
    rows = [] if level == privacy.NONE else storage.message_rows(messages, level, at)
    columns = conversation_columns(body) | {"id": ids.uuid7(at), "created_at": at}
    return storage.prepare(caller, columns, rows)


def conversation_columns(body: NewConversation) -> Row:
    """Return the columns of a conversation that a body sets, with the defaults."""
    return {
        "title": body.title,
        "system_prompt": body.system_prompt,
        "model_alias": DEFAULT_ALIAS if body.model_alias is None else body.model_alias,
        "temperature": DEFAULT_TEMPERATURE if body.temperature is None else body.temperature,
        "max_tokens": body.max_tokens,
        "project_label": body.project_id,
        "origin": body.origin,
        "profile": body.profile,
        "template_id": body.template_id,
    }


async def append_message(
    caller: Caller, conversation_id: UUID, message: NewMessage, *, is_small: bool = False
) -> Payload | None:
    """Store a message and return its payload; None at privacy level `none`.

    On the event loop if the body `is_small`, else in a thread. Raises what `append_messages`
    does.
    """
    level = privacy.effective(message.logging_level)
    is_small = is_small and sizes.has_short_texts([message])
    if not is_small or level == privacy.NONE or _names_messages(message):
        stored = await bridge.in_thread(
            append_messages, caller, conversation_id, [message], level, path=("body",)
        )
        return stored[0] if stored else None
    rows = storage.message_rows([message], level, datetime.now(UTC))
    if not await writer.append(appending.prepare(caller, conversation_id, rows)):
        raise payloads.not_found()
    return payloads.message_payload(rows[0], conversation_id)


def append_messages(
    caller: Caller,
    conversation_id: UUID,
    messages: Sequence[ChatMessage],
    level: str,
    *,
    path: Sequence[str] = ("body", "messages"),
) -> list[Payload]:
    """Store the messages, all or none, and return their payloads; none at level `none`.

    `level` is the request's; the server's wins where it is stricter. A message whose
    `message_id` is stored already is returned, not stored again. `path` is where the
    list stands in the request.
    Raises Http404, MessageIdReused, and InvalidInput for an unknown parent.
    """
    level = privacy.effective(level)
    if level == privacy.NONE or not messages:
        with pooled_cursor() as cursor:
            payloads.read_conversation(cursor, caller, conversation_id)
        return []
    if any(map(_names_messages, messages)):
        return _append_identified(caller, conversation_id, messages, level, path)
    rows = storage.message_rows(messages, level, datetime.now(UTC))
    if not appending.append_now([appending.prepare(caller, conversation_id, rows)]):
        raise payloads.not_found()
    return [payloads.message_payload(row, conversation_id) for row in rows]


def _names_messages(message: ChatMessage) -> bool:
    return bool(message.message_id or message.parent_id)


def _append_identified(
    caller: Caller,
    conversation_id: UUID,
    messages: Sequence[ChatMessage],
    level: str,
    path: Sequence[str],
) -> list[Payload]:
    """Append messages that name themselves or their parents."""
    with transaction.atomic(), connection.cursor() as cursor:
        conversation = lock_conversation(caller, conversation_id)
        if conversation is None:
            raise payloads.not_found()
        rows = storage.message_rows(messages, level, datetime.now(UTC))
        stored = _stored_by_message_id(conversation, rows)
        for row in rows:
            row["id"] = stored.get(row.get("message_id"), row["id"])
        _set_parents(conversation, messages, rows, path)
        new = [row for row in rows if row.get("message_id") not in stored]
        if new:
            appending.append(cursor, appending.prepare(caller, conversation_id, new))
        known = payloads.read_by_ids(cursor, caller, conversation_id, [*stored.values()])
    return [known.get(row["id"]) or payloads.message_payload(row, conversation_id) for row in rows]


def _set_parents(
    conversation: Conversation,
    messages: Sequence[ChatMessage],
    rows: Sequence[Row],
    path: Sequence[str],
) -> None:
    """Set the parents that the messages name, else the message before or the newest stored one.

    Messages may be copies from elsewhere, and name each other by the ids they had there.
    Raises InvalidInput for a parent that the conversation does not hold, unless it may have
    been deleted by age.
    """
    # What stands here for the messages that are named.
    copies: dict[UUID | None, UUID | None] = {}
    held = _held(conversation, {message.parent_id for message in messages} - {None})
    has_expired = conversation.last_position > conversation.message_count
    before = conversation.last_message_id
    for number, (message, row) in enumerate(zip(messages, rows, strict=True)):
        members, parent_id = message.model_extra, message.parent_id
        source = _as_uuid(members.get("conversation_id", conversation.id))
        if parent_id is None:
            row["parent_id"] = before
        elif parent_id in copies:
            row["parent_id"] = copies[parent_id]
        elif parent_id in held:
            row["parent_id"] = parent_id
        elif source != conversation.id or has_expired:
            # Others that followed the same message are branches here as well.
            row["parent_id"] = copies[parent_id] = before
        else:
            place = [*path, number] if path[-1] == "messages" else [*path]
            text = "The conversation has no such message"
            raise InvalidInput([issue("unknown_parent", [*place, "parent_id"], text, parent_id)])
        copies[_as_uuid(members.get("id"))] = before = row["id"]


def _held(conversation: Conversation, ids: Collection[UUID]) -> set[UUID]:
    """Return those of the ids that messages of the conversation have."""
    if not ids:
        return set()
    own = Message.objects.filter(project_id=conversation.project_id, conversation=conversation)
    return set(own.filter(id__in=ids).values_list("id", flat=True))


def _as_uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _stored_by_message_id(conversation: Conversation, rows: Sequence[Row]) -> dict[str, UUID]:
    """Return the ids of those messages that are stored already, by the client's own id.

    Raises MessageIdReused when a stored one says something else.
    """
    sent = {row["message_id"]: row for row in rows if "message_id" in row}
    stored = {}
    for row in history.stored_rows(conversation, message_id__in=list(sent)):
        id = row["message_id"]
        if not Turn.of(row).has_content_of(Turn.of(sent[id])):
            raise MessageIdReused(id)
        stored[id] = row["id"]
    return stored


def lock_conversation(caller: Caller, conversation_id: UUID) -> Conversation | None:
    """Lock and return the caller's conversation, for use inside a transaction."""
    own = Conversation.objects.for_caller(caller).filter(id=conversation_id)
    return own.select_for_update().first()


def open_conversation(caller: Caller, conversation_id: UUID, *, message_limit: int) -> Payload:
    """Return the conversation's payload with its newest messages. Raises Http404."""
    with pooled_cursor() as cursor:
        conversation = payloads.read_conversation(cursor, caller, conversation_id)
        messages = (
            payloads.read_newest(cursor, caller, conversation_id, limit=message_limit)
            if message_limit
            else []
        )
    return {**conversation, "messages": messages}
