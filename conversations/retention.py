"""Deleting messages that are too old, and whole conversations.

The counters of a conversation describe the messages that are stored, so what is
deleted is also subtracted from them.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from conversations import payloads
from conversations.models import Conversation, ConversationWords, Message
from core import ids
from core.models import IdempotentRequest
from core.scoping import Caller

MESSAGES_PER_TRANSACTION = 2_000
CONVERSATIONS_PER_TRANSACTION = 200  # whose rows are locked

_DELETE_OLD = """
WITH old AS (
    SELECT id FROM messages
    WHERE project_id = %(project)s AND conversation_id = ANY(%(conversations)s)
        AND id < %(before)s
    LIMIT %(limit)s
), deleted AS (
    DELETE FROM messages USING old
    WHERE messages.id = old.id AND messages.project_id = %(project)s
    RETURNING messages.id, conversation_id, input_tokens, output_tokens, cost
), sums AS (
    SELECT conversation_id, count(*) AS count, coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens, coalesce(sum(cost), 0) AS cost
    FROM deleted GROUP BY 1
), updated AS (
    UPDATE conversations SET
        message_count = message_count - sums.count,
        total_input_tokens = conversations.total_input_tokens - sums.input_tokens,
        total_output_tokens = conversations.total_output_tokens - sums.output_tokens,
        total_cost = conversations.total_cost - sums.cost,
        -- The next message follows none that is gone.
        last_message_id = CASE
            WHEN last_message_id IN (SELECT id FROM deleted) THEN NULL ELSE last_message_id
        END
    FROM sums
    WHERE conversations.id = sums.conversation_id AND conversations.project_id = %(project)s
)
SELECT coalesce(sum(count), 0) FROM sums
"""


def prune(days: int, *, now: datetime, caller: Caller | None = None) -> Iterator[int]:
    """Delete messages older than `days`, of the caller or of all projects, while iterated.

    Yields the number deleted by each transaction. 0 days keep everything.
    """
    if days == 0:
        return
    at = ids.days_ago(days, now=now)
    batches = _of_all_projects(at) if caller is None else _of_project(at, caller)
    for project_id, conversations in batches:
        while deleted := _delete_old(project_id, conversations, ids.lowest(at)):
            yield deleted
    replies = IdempotentRequest.objects.filter(created_at__lt=at)
    (replies.for_caller(caller) if caller else replies).delete()


def count_old(days: int, *, now: datetime) -> int:
    """Return how many messages `prune` would delete."""
    if days == 0:
        return 0
    return Message.objects.filter(id__lt=ids.lowest(ids.days_ago(days, now=now))).count()


def delete_conversation(caller: Caller, conversation_id: UUID) -> None:
    """Delete the conversation with its messages. Raises Http404."""
    with transaction.atomic():
        own = Conversation.objects.for_caller(caller).filter(id=conversation_id)
        # Locked first: an append that waits for the row will not find it any more.
        if not own.select_for_update().exists():
            raise payloads.not_found()
        for model in (Message, ConversationWords):
            model.objects.for_caller(caller).filter(conversation_id=conversation_id).delete()
        # Stored replies repeat messages.
        replies = IdempotentRequest.objects.for_caller(caller)
        replies.filter(subject_id=conversation_id).delete()
        own.delete()


# Conversations of one project.
_Batch = tuple[UUID, list[UUID]]


def _of_all_projects(at: datetime) -> Iterator[_Batch]:
    """Yield conversations with messages older than `at`, for as long as there are any."""
    oldest = Message.objects.filter(id__lt=ids.lowest(at)).order_by("id")
    pairs = oldest.values_list("project_id", "conversation_id")
    while batch := set(pairs[:MESSAGES_PER_TRANSACTION]):
        by_project: dict[UUID, list[UUID]] = {}
        for project_id, conversation_id in batch:
            by_project.setdefault(project_id, []).append(conversation_id)
        yield from by_project.items()


def _of_project(at: datetime, caller: Caller) -> Iterator[_Batch]:
    """Yield the project's conversations with messages older than `at`; reads no others'."""
    old = Message.objects.for_caller(caller).filter(
        conversation=OuterRef("id"), id__lt=ids.lowest(at)
    )
    own = Conversation.objects.for_caller(caller).filter(Exists(old), created_at__lt=at)
    ordered = own.order_by("id").values_list("id", flat=True)
    after = UUID(int=0)
    while batch := list(ordered.filter(id__gt=after)[:CONVERSATIONS_PER_TRANSACTION]):
        yield caller.project_id, batch
        after = batch[-1]


def _delete_old(project_id: UUID, conversations: list[UUID], before: UUID) -> int:
    """Delete one batch of old messages of these conversations and return their number."""
    with transaction.atomic(), connection.cursor() as cursor:
        # In order of ids, as every transaction that locks more than one of them.
        own = Conversation.objects.filter(project_id=project_id, id__in=conversations)
        list(own.order_by("id").select_for_update().values_list("id"))
        ConversationWords.objects.filter(
            project_id=project_id,
            conversation_id__in=conversations,
            is_title=False,
            id__lt=before,
        ).delete()
        cursor.execute(
            _DELETE_OLD,
            {
                "project": project_id,
                "conversations": conversations,
                "before": before,
                "limit": MESSAGES_PER_TRANSACTION,
            },
        )
        return int(cursor.fetchone()[0])
