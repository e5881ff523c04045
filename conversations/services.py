"""Creating conversations, from nothing or from a template, and appending messages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from conversations import payloads, privacy, storage
from conversations.entries import ConversationEntry, MessageEntry
from conversations.payloads import Payload
from conversations.storage import NewConversation, Row
from core import bridge, ids
from core.errors import DomainError
from core.scoping import Caller
from templates_app import services as template_services

DEFAULT_ALIAS = "default"
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


def create_conversation(caller: Caller, body: ConversationEntry) -> Payload:
    """Store a conversation and return its payload. A template's messages are its first ones.

    Raises TrackingDisabled; with a template also Http404 and InvalidInput.
    """
    check_tracking()
    if body.template_id is None:
        new = _new_conversation(caller, body)
        bridge.run(storage.writer.write(new))
        return payloads.conversation_payload(new.row)
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
        for name, value in defaults.items():
            if getattr(body, name) is None:
                setattr(body, name, value)
        messages = [
            MessageEntry(role=message["role"], content=message.get("content"))
            for message in prompt["messages"]
        ]
        new = _new_conversation(caller, body, messages)
        storage.insert(cursor, new)
    return payloads.conversation_payload(new.row)


def _new_conversation(
    caller: Caller, body: ConversationEntry, messages: Sequence[MessageEntry] = ()
) -> NewConversation:
    at = datetime.now(UTC)
    level = privacy.effective(privacy.FULL)
    rows = [] if level == privacy.NONE else storage.message_rows(messages, level, at)
    columns = conversation_columns(body) | {"id": ids.uuid7(at), "created_at": at}
    return storage.new_conversation(caller, columns, rows)


def conversation_columns(body: ConversationEntry) -> Row:
    """Return the columns of a conversation that a body sets, with the defaults."""
    temperature = DEFAULT_TEMPERATURE if body.temperature is None else float(body.temperature)
    return {
        "title": body.title,
        "system_prompt": body.system_prompt,
        "model_alias": DEFAULT_ALIAS if body.model_alias is None else body.model_alias,
        "temperature": temperature,
        "max_tokens": body.max_tokens,
        "project_label": body.project_id,
        "origin": body.origin,
        "profile": body.profile,
        "template_id": body.template_id,
    }


def append_messages(
    cursor, caller: Caller, conversation_id: UUID, messages: Sequence[MessageEntry], level: str
) -> list[Payload]:
    """Store the messages, all or none, and return their payloads; none at level `none`.

    `level` is the request's; the server's wins where it is stricter.
    Raises Http404.
    """
    level = privacy.effective(level)
    if level == privacy.NONE or not messages:
        payloads.read_conversation(cursor, caller, conversation_id)
        return []
    rows = storage.message_rows(messages, level, datetime.now(UTC))
    if not storage.append(cursor, caller, conversation_id, rows):
        raise payloads.not_found()
    return [payloads.message_payload(row, conversation_id) for row in rows]


def open_conversation(
    cursor, caller: Caller, conversation_id: UUID, *, message_limit: int
) -> Payload:
    """Return the conversation's payload with its newest messages. Raises Http404."""
    conversation = payloads.read_conversation(cursor, caller, conversation_id)
    messages = (
        payloads.read_newest(cursor, caller, conversation_id, limit=message_limit)
        if message_limit
        else []
    )
    return {**conversation, "messages": messages}
