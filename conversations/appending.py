"""Appending messages at a privacy level."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

from conversations import documents, privacy, reading, rows, store
from conversations.entries import MessageEntry
from core.errors import DomainError
from core.scoping import Caller


class MessageLoggingDisabled(DomainError):
    code = "message_logging_disabled"


def check_enabled() -> None:
    """Raises MessageLoggingDisabled when this server stores no messages at all."""
    if settings.MESSAGE_LOGGING_LEVEL == privacy.NONE:
        raise MessageLoggingDisabled("Message logging is disabled")


def append(
    cursor, caller: Caller, conversation_id: UUID, entries: Sequence[MessageEntry], level: str
) -> list[dict]:
    """Store the messages, all or none; their documents, none at level `none`.

    `level` is the request's; the server's wins where it is stricter.
    Raises Http404.
    """
    level = privacy.effective(level)
    if level == privacy.NONE or not entries:
        reading.conversation(cursor, caller, conversation_id)
        return []
    at = datetime.now(UTC)
    messages = rows.messages(entries, level, at)
    if not store.append(cursor, caller, conversation_id, messages):
        raise reading.not_found()
    return [documents.stored_message(row, conversation_id) for row in messages]
