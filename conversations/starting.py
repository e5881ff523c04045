"""Beginning a conversation."""

from datetime import UTC, datetime

from django.conf import settings

from conversations import store
from conversations.entries import ConversationEntry
from conversations.rows import NewConversation
from llmring_site import ids
from llmring_site.errors import DomainError
from llmring_site.scoping import Scope

DEFAULT_ALIAS = "default"


class TrackingDisabled(DomainError):
    code = "tracking_disabled"


def check_enabled() -> None:
    """Raises TrackingDisabled when this server keeps no conversations."""
    if not settings.CONVERSATION_TRACKING:
        raise TrackingDisabled("Conversation tracking is disabled")


def start(cursor, scope: Scope, entry: ConversationEntry) -> dict:
    """Store an empty conversation; its document. Raises TrackingDisabled."""
    check_enabled()
    at = datetime.now(UTC)
    return store.create(
        cursor,
        scope,
        NewConversation(
            id=ids.uuid7(at),
            created_at=at,
            title=entry.title,
            system_prompt=entry.system_prompt,
            model_alias=DEFAULT_ALIAS if entry.model_alias is None else entry.model_alias,
            temperature=float(entry.temperature),
            max_tokens=entry.max_tokens,
            project_label=entry.project_id,
            origin=entry.origin,
            profile=entry.profile,
        ),
    )
