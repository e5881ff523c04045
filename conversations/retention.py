"""Forgetting: messages that are too old, and whole conversations.

The counters of a conversation describe the messages that are stored, so what is
deleted is also taken out of them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from conversations import reading
from conversations.models import Conversation, ConversationWords, Message
from core import ids
from core.scoping import Caller

_BATCH = 2_000  # messages deleted in one transaction
_CONVERSATIONS = 200  # conversations whose rows one transaction locks
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # ids carry no earlier time

_FORGET = """
WITH doomed AS (
    SELECT id FROM messages WHERE conversation_id = ANY(%(conversations)s) AND id < %(before)s
    LIMIT %(most)s
), gone AS (
    DELETE FROM messages USING doomed WHERE messages.id = doomed.id
    RETURNING conversation_id, input_tokens, output_tokens, cost
), sums AS (
    SELECT conversation_id, count(*) AS count, coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens, coalesce(sum(cost), 0) AS cost
    FROM gone GROUP BY 1
), lessened AS (
    UPDATE conversations SET
        message_count = message_count - sums.count,
        total_input_tokens = conversations.total_input_tokens - sums.input_tokens,
        total_output_tokens = conversations.total_output_tokens - sums.output_tokens,
        total_cost = conversations.total_cost - sums.cost
    FROM sums WHERE conversations.id = sums.conversation_id
)
SELECT coalesce(sum(count), 0) FROM sums
"""


def cutoff(days: int, *, now: datetime) -> datetime:
    days_there_are = (now - _EARLIEST).days
    return now - timedelta(days=min(days, days_there_are))


def prune(days: int, *, now: datetime, caller: Caller | None = None) -> Iterator[int]:
    """Delete messages older than `days`, of the caller or of everybody, while iterated.

    Yields the number deleted by each transaction. 0 days keep everything.
    """
    if days == 0:
        return
    at = cutoff(days, now=now)
    for conversations in _all_with_old(at) if caller is None else _own_with_old(at, caller):
        while deleted := _forget(conversations, ids.lowest(at)):
            yield deleted


def count_old(days: int, *, now: datetime) -> int:
    """How many messages `prune` would delete."""
    return Message.objects.filter(id__lt=ids.lowest(cutoff(days, now=now))).count() if days else 0


def delete_conversation(caller: Caller, conversation_id: UUID) -> None:
    """Delete the conversation with all it holds. Raises Http404."""
    with transaction.atomic():
        own = Conversation.objects.for_caller(caller).filter(id=conversation_id)
        # Locked first: an append that waits for the row will find it gone.
        if not own.select_for_update().exists():
            raise reading.not_found()
        Message.objects.filter(conversation_id=conversation_id).delete()
        ConversationWords.objects.filter(conversation_id=conversation_id).delete()
        own.delete()


def _all_with_old(at: datetime) -> Iterator[list[UUID]]:
    """Conversations of any project with messages older than `at`, for as long as there are."""
    oldest = Message.objects.filter(id__lt=ids.lowest(at)).order_by("id")
    while found := set(oldest.values_list("conversation_id", flat=True)[:_BATCH]):
        yield list(found)


def _own_with_old(at: datetime, caller: Caller) -> Iterator[list[UUID]]:
    """The caller's conversations with messages older than `at`; reads nobody else's messages."""
    old = Message.objects.filter(conversation=OuterRef("id"), id__lt=ids.lowest(at))
    own = Conversation.objects.for_caller(caller).filter(Exists(old), created_at__lt=at)
    found = own.order_by("id").values_list("id", flat=True)
    after = UUID(int=0)
    while conversations := list(found.filter(id__gt=after)[:_CONVERSATIONS]):
        yield conversations
        after = conversations[-1]


def _forget(conversations: list[UUID], before: UUID) -> int:
    """Delete one batch of old messages of these conversations; how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        # In order of ids, as every transaction that locks more than one of them.
        locked = Conversation.objects.filter(id__in=conversations).order_by("id")
        list(locked.select_for_update().values_list("id"))
        ConversationWords.objects.filter(
            conversation_id__in=conversations, is_title=False, id__lt=before
        ).delete()
        cursor.execute(_FORGET, {"conversations": conversations, "before": before, "most": _BATCH})
        return int(cursor.fetchone()[0])
