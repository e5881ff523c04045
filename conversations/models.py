from collections.abc import Collection
from uuid import UUID

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.chat_messages import ROLES
from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import Caller, OwnedModel, ScopedQuerySet

DEFAULT_ALIAS = "default"  # of what names none
Role = models.TextChoices("Role", [(role.upper(), role) for role in ROLES])


class ConversationQuerySet(ScopedQuerySet):
    def owned_ids(self, caller: Caller, ids: Collection[UUID]) -> set[UUID]:
        """Return which of the ids are conversations of the caller's project."""
        return set(self.for_caller(caller).filter(id__in=ids).values_list("id", flat=True))


class Conversation(OwnedModel):
    """A sequence of messages. Its counters describe the messages stored now.

    Written by conversations/storage.py. The statements that insert or delete
    messages change the counters, and nothing else does.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project_label = models.CharField(
        max_length=255, null=True, help_text="The client's own text, shown as `project_id`."
    )
    title = models.CharField(max_length=500, null=True)
    system_prompt = models.TextField(null=True)
    model_alias = models.CharField(max_length=255)
    temperature = models.FloatField()
    max_tokens = models.BigIntegerField(null=True)
    origin = models.CharField(
        max_length=255, null=True, help_text="The application that made the call."
    )
    profile = models.CharField(max_length=64, null=True)
    template_id = models.UUIDField(null=True, help_text="The template it was started from.")
    message_count = models.BigIntegerField(default=0)
    last_position = models.BigIntegerField(
        default=0, help_text="Position of the newest message; never decreases."
    )
    last_message_id = models.UUIDField(null=True, help_text="The newest message.")
    # Integers: a call may state 2^53-1 tokens, of which a thousand are beyond 64 bits.
    total_input_tokens = models.DecimalField(max_digits=38, decimal_places=0, default=0)
    total_output_tokens = models.DecimalField(max_digits=38, decimal_places=0, default=0)
    total_cost = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="US dollars."
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    last_message_at = models.DateTimeField(null=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        db_table = "conversations"
        ordering = ["-updated_at", "-id"]
        indexes = [
            models.Index(
                fields=["project_id", "-updated_at", "-id"], name="conversations_by_activity"
            ),
            # For the admin, which lists all projects; imported ids do not carry their times.
            models.Index(fields=["-created_at"], name="conversations_by_age"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(temperature__gte=0, temperature__lte=2),
                name="conversations_temperature_between_0_and_2",
            ),
            models.CheckConstraint(
                condition=Q(max_tokens__isnull=True) | Q(max_tokens__gt=0),
                name="conversations_max_tokens_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.model_alias} {self.created_at:%Y-%m-%d %H:%M}"


class Message(OwnedModel):
    """One message. Its position orders it; its id carries its time, for retention.

    At privacy level `metadata` the content is absent, and tool calls and
    results are digests (conversations/privacy.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No foreign key: the statement that inserts locks the conversation's row, and
    # checking each message again would be a third of the work.
    conversation = models.ForeignKey(
        Conversation, models.DO_NOTHING, db_constraint=False, db_index=False
    )
    position = models.BigIntegerField(help_text="From 1, in the order of commits.")
    parent_id = models.UUIDField(null=True, help_text="The message before it in its branch.")
    message_id = models.CharField(max_length=255, null=True, help_text="The client's own id.")
    role = models.CharField(max_length=50, choices=Role)
    name = models.TextField(null=True, help_text="Of a participant or function.")
    content = models.TextField(null=True)
    content_parts = ExactJSONField(
        null=True, help_text="Content that is not plain text: a list of parts or an object."
    )
    content_hash = models.CharField(
        max_length=64, null=True, help_text="SHA-256 of the text, or of the canonical JSON."
    )
    plain_hash = models.CharField(
        max_length=64,
        null=True,
        help_text="The same without marks of a provider's cache, and of one text part as text, "
        "where that differs: by it a message is known again.",
    )
    tool_calls = ExactJSONField(null=True)
    tool_call_id = models.TextField(null=True)
    tool_results = ExactJSONField(null=True)
    extra = ExactJSONField(null=True, help_text="Members that only the provider knows.")
    metadata = ExactJSONField(default=dict)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    token_count = models.BigIntegerField(null=True)
    cost = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, help_text="US dollars, from the metadata."
    )
    receipt_id = models.CharField(max_length=255, null=True)
    timestamp = models.DateTimeField()

    class Meta:
        db_table = "messages"
        ordering = ["conversation_id", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "conversation", "position"],
                name="messages_one_per_position",
            ),
            models.UniqueConstraint(
                fields=["project_id", "conversation", "message_id"],
                condition=Q(message_id__isnull=False),
                name="messages_one_per_message_id",
            ),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="messages_role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.timestamp:%Y-%m-%d %H:%M:%S}"


class ConversationWords(models.Model):
    """The words of a title, or of the messages written by one request, for search.

    One row for a request, not for each message: a tenth of the index work.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(
        Conversation, models.DO_NOTHING, db_constraint=False, db_index=False
    )
    project_id = models.UUIDField()
    is_title = models.BooleanField(default=False)
    words = SearchVectorField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "conversation_words"
        indexes = [
            models.Index(fields=["project_id", "conversation"], name="words_by_conversation"),
            GinIndex(fields=["words"], name="words_search"),
        ]

    def __str__(self) -> str:
        return f"words of {self.conversation_id}"
