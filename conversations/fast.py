"""Conversations on the fast lane (core/edge.py): the calls that models wait for.

Each answers the plain well-formed request of a known key. Everything else, and
whatever is not found, is for the views; until then nothing has been changed.
"""

import re
from uuid import UUID

from django.conf import settings
from django.http import Http404

from accounts.authentication import cached_caller
from conversations import calls, privacy, services
from conversations.entries import BatchEntry, CallEntry, ConversationEntry, MessageEntry, decode
from core import media
from core.database.raw_connection import pooled_cursor
from core.fast_lane import Answer, body_of, borrowed_connection

_LIMIT = re.compile(r"message_limit=([1-9][0-9]{0,3})")
DEFAULT_MESSAGE_LIMIT, MAX_MESSAGE_LIMIT = 100, 1000


def create(environ: dict) -> Answer | None:
    caller, entry = _read(environ, ConversationEntry)
    if entry is None or entry.template_id is not None or not settings.CONVERSATION_TRACKING:
        return None
    return Answer(media.dumps(services.create_conversation(caller, entry)))


def opened(environ: dict, conversation_id: str) -> Answer | None:
    caller, limit = cached_caller(environ), _limit(environ)
    if caller is None or limit is None:
        return None
    try:
        with pooled_cursor() as cursor:
            id = UUID(conversation_id)
            reply = services.open_conversation(cursor, caller, id, message_limit=limit)
    except (Http404, ValueError):
        return None
    return Answer(media.dumps(reply))


def append(environ: dict, conversation_id: str) -> Answer | None:
    caller, entry = _read(environ, MessageEntry)
    if entry is None or privacy.effective(privacy.FULL) == privacy.NONE:
        return None
    stored = _append(caller, conversation_id, [entry], privacy.FULL)
    return None if stored is None else Answer(media.dumps(stored[0]))


def append_batch(environ: dict, conversation_id: str) -> Answer | None:
    caller, entry = _read(environ, BatchEntry)
    if entry is None or privacy.effective(entry.logging_level) == privacy.NONE:
        return None
    stored = _append(caller, conversation_id, entry.messages, entry.logging_level)
    return None if stored is None else Answer(media.dumps(stored))


def log(environ: dict, *, receipt_issuer) -> Answer | None:
    caller, entry = _read(environ, CallEntry)
    if entry is None or entry.metadata.conversation_id is not None:
        return None
    if not settings.CONVERSATION_TRACKING:
        return None
    with borrowed_connection():  # for a receipt
        return Answer(media.dumps(calls.log_call(caller, entry, receipt_issuer())))


def _read(environ: dict, kind: type) -> tuple:
    """The caller's caller and the entry in the body; the entry is None if it is for the view."""
    caller = cached_caller(environ)
    if caller is None or not environ.get("CONTENT_TYPE", "").startswith("application/json"):
        return None, None
    body = body_of(environ)
    return caller, decode(kind, body) if body else None


def _append(caller, conversation_id: str, entries: list, level: str) -> list[dict] | None:
    try:
        with pooled_cursor() as cursor:
            return services.append_messages(cursor, caller, UUID(conversation_id), entries, level)
    except (Http404, ValueError):
        return None


def _limit(environ: dict) -> int | None:
    """How many messages to show; None if the view has to read the query."""
    query = environ.get("QUERY_STRING", "")
    if not query:
        return DEFAULT_MESSAGE_LIMIT
    found = _LIMIT.fullmatch(query)
    limit = int(found[1]) if found else None
    return limit if limit is not None and limit <= MAX_MESSAGE_LIMIT else None
