"""Reading conversations: plain statements whose rows become documents.

An opened conversation has a hundred messages or more; models and serializers
would cost ten times what PostgreSQL does. `cursor` is as in store.py.
"""

from uuid import UUID

from django.http import Http404

from conversations import documents
from core.scoping import Caller

_CONVERSATION = f"""
SELECT {", ".join(documents.CONVERSATION.values())} FROM conversations
WHERE id = %s AND project_id = %s
"""
_MESSAGES = f"""
SELECT {documents.MESSAGE_COLUMNS} FROM messages
WHERE conversation_id = %s AND project_id = %s
"""
# The unique index of (conversation, position) gives both orders without sorting.
_NEWEST = f"{_MESSAGES} ORDER BY position DESC LIMIT %s"
_PAGE = f"{_MESSAGES} ORDER BY position LIMIT %s OFFSET %s"
_AFTER = f"""
SELECT {documents.MESSAGE_COLUMNS}, position FROM messages
WHERE conversation_id = %s AND project_id = %s AND position > %s AND position <= %s
ORDER BY position LIMIT %s
"""


def not_found() -> Http404:
    return Http404("Conversation not found")


def conversation(cursor, caller: Caller, conversation_id: UUID) -> dict:
    """The conversation's document. Raises Http404."""
    cursor.execute(_CONVERSATION, (conversation_id, caller.project_id))
    row = cursor.fetchone()
    if row is None:
        raise not_found()
    return documents.conversation(row)


def opened(cursor, caller: Caller, conversation_id: UUID, *, message_limit: int) -> dict:
    """The conversation's document with its newest messages. Raises Http404."""
    found = conversation(cursor, caller, conversation_id)
    newest = (
        newest_messages(cursor, caller, conversation_id, message_limit) if message_limit else []
    )
    return {**found, "messages": newest}


def newest_messages(cursor, caller: Caller, conversation_id: UUID, limit: int) -> list[dict]:
    """The last `limit` messages, oldest first."""
    cursor.execute(_NEWEST, (conversation_id, caller.project_id, limit))
    return [documents.message(row) for row in reversed(cursor.fetchall())]


def page_of_messages(
    cursor, caller: Caller, conversation_id: UUID, *, limit: int, offset: int
) -> list[dict]:
    """Messages from the oldest on."""
    cursor.execute(_PAGE, (conversation_id, caller.project_id, limit, offset))
    return [documents.message(row) for row in cursor.fetchall()]


def messages_after(
    cursor, caller: Caller, conversation_id: UUID, *, position: int, last: int, limit: int
) -> tuple[list[dict], int]:
    """Messages behind `position` and up to `last`, and the position of the last of them."""
    cursor.execute(_AFTER, (conversation_id, caller.project_id, position, last, limit))
    found = cursor.fetchall()
    return [documents.message(row[:-1]) for row in found], found[-1][-1] if found else last
