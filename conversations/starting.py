"""Beginning a conversation, from nothing or from a template."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection, transaction

from conversations import privacy, rows, store
from conversations.entries import ConversationEntry, MessageEntry
from conversations.rows import NewConversation, NewMessage
from conversations.store import Creation
from core import bridge, ids
from core.errors import DomainError
from core.scoping import Caller
from templates_app import using

DEFAULT_ALIAS = "default"
DEFAULT_TEMPERATURE = 0.7


class TrackingDisabled(DomainError):
    code = "tracking_disabled"


def check_enabled() -> None:
    """Raises TrackingDisabled when this server keeps no conversations."""
    if not settings.CONVERSATION_TRACKING:
        raise TrackingDisabled("Conversation tracking is disabled")


def start(caller: Caller, entry: ConversationEntry) -> dict:
    """Store a conversation; its document. A template's messages are its first ones.

    Raises TrackingDisabled; with a template also Http404 and InvalidInput.
    """
    check_enabled()
    if entry.template_id is None:
        new = _creation(caller, entry)
        bridge.run(store.writer.write(new))
        return new.document
    with transaction.atomic(), connection.cursor() as cursor:
        template = using.find(caller, entry.template_id)
        prompt = using.use(template, entry.values)
        given = {
            "title": template.name,
            "system_prompt": prompt["system_prompt"],
            "model_alias": template.model,
            "temperature": template.temperature,
            "max_tokens": template.max_tokens,
        }
        for name, value in given.items():
            if getattr(entry, name) is None:
                setattr(entry, name, value)
        new = _creation(caller, entry, prompt["messages"])
        store.create(cursor, new)
    return new.document


def temperature(entry: ConversationEntry) -> float:
    return DEFAULT_TEMPERATURE if entry.temperature is None else float(entry.temperature)


def _creation(caller: Caller, entry: ConversationEntry, messages: Sequence[dict] = ()) -> Creation:
    at = datetime.now(UTC)
    new = NewConversation(
        id=ids.uuid7(at),
        created_at=at,
        title=entry.title,
        system_prompt=entry.system_prompt,
        model_alias=DEFAULT_ALIAS if entry.model_alias is None else entry.model_alias,
        temperature=temperature(entry),
        max_tokens=entry.max_tokens,
        project_label=entry.project_id,
        origin=entry.origin,
        profile=entry.profile,
        template_id=entry.template_id,
    )
    return store.creation(caller, new, _first_messages(messages, at))


def _first_messages(messages: Sequence[dict], at: datetime) -> list[NewMessage]:
    level = privacy.effective(privacy.FULL)
    if level == privacy.NONE:
        return []
    return rows.messages([MessageEntry(**message) for message in messages], level, at)
