"""What the conversation routes take, leniently, and what they return.

The members are those of conversations/entries.py; a test holds the two equal.
"""

from rest_framework import serializers

from conversations import privacy
from conversations.entries import (
    MOST_MESSAGES,
    BatchEntry,
    CallEntry,
    ConversationEntry,
    ImportedConversation,
    ImportedMessage,
    LoggedCall,
    LoggedMessage,
    LoggedResponse,
    MessageEntry,
    money,
)
from conversations.models import Role
from core import fields
from core.pagination import page_query
from core.serializers import QuerySerializer, Serializer
from templates_app import rendering
from templates_app.schemas import MAX_VARIABLES

_ABSENT = {"required": False, "allow_null": True}


def _text(longest: int | None = None, **kwargs) -> fields.TextField:
    return fields.TextField(max_length=longest, **_ABSENT, **kwargs)


def _count(**kwargs) -> fields.IntegerField:
    return fields.IntegerField(min_value=0, max_value=fields.INT32_MAX, **_ABSENT, **kwargs)


def _dollars(**kwargs) -> fields.NumberField:
    return fields.NumberField(min_value=0, **_ABSENT, **kwargs)


class ValuesField(fields.ObjectField):
    """Text, numbers and truth values by name; null where there is none."""

    default_error_messages = {
        "variable_name": "Names are letters, digits and underscores, 64 at most",
        "variable_value": "Input should be text, a number or a truth value",
        "too_many": "There should be at most {most} variables",
    }

    def to_internal_value(self, data):
        values = super().to_internal_value(data)
        if len(values) > MAX_VARIABLES:
            self.fail("too_many", most=MAX_VARIABLES)
        wrong = {}
        for name, value in values.items():
            if not rendering.NAME.fullmatch(name):
                wrong[name] = "variable_name"
            elif not isinstance(value, str | int | float | bool | None):
                wrong[name] = "variable_value"
        if wrong:
            raise serializers.ValidationError(
                {
                    name: [serializers.ErrorDetail(self.error_messages[code], code)]
                    for name, code in wrong.items()
                }
            )
        return values


class RoleField(fields.TextField):
    pattern = f"^({'|'.join(Role.values)})$"
    default_error_messages = {"string_pattern_mismatch": "String should match pattern '{pattern}'"}

    def to_internal_value(self, data):
        role = super().to_internal_value(data)
        return (
            role
            if role in Role.values
            else self.fail("string_pattern_mismatch", pattern=self.pattern)
        )


class LoggedRoleField(RoleField):
    """Also takes what providers' own libraries call the roles."""

    SYNONYMS = {"developer": "system", "function": "tool", "model": "assistant"}

    def to_internal_value(self, data):
        known = self.SYNONYMS.get(data, data) if isinstance(data, str) else data
        return super().to_internal_value(known)


class ToolsField(fields.ListField):
    """A list of objects; one object alone is a list of one."""

    default_error_messages = {"dict_type": "Items should be valid dictionaries"}

    def to_internal_value(self, data):
        values = super().to_internal_value([data] if isinstance(data, dict) else data)
        if not all(isinstance(value, dict) for value in values):
            self.fail("dict_type")
        return values


class LevelField(serializers.ChoiceField):
    def __init__(self, **kwargs) -> None:
        super().__init__(
            choices=privacy.LEVELS,
            default=privacy.FULL,
            help_text="What to store; the server's own level wins where it is stricter.",
            **kwargs,
        )


class MetadataField(fields.ObjectField):
    def to_internal_value(self, data):
        metadata = super().to_internal_value(data)
        try:
            money(metadata.get("cost"))
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"cost": error.detail}) from None
        return metadata


class EntrySerializer(Serializer):
    """Its `entry` is the struct of the same members."""

    struct: type

    @classmethod
    def read(cls, data: object, *, request=None):
        """The entry in `data`. Raises InvalidInput."""
        serializer = cls(data=data, context={"request": request} if request else {})
        serializer.is_valid(raise_exception=True)
        return cls.made(serializer.validated_data)

    @classmethod
    def made(cls, members: dict):
        return cls.struct(**members)


class ConversationEntrySerializer(EntrySerializer):
    struct = ConversationEntry

    title = _text(500)
    system_prompt = _text()
    model_alias = _text(255, help_text="`default` when absent.")
    temperature = fields.NumberField(
        required=False, min_value=0, max_value=2, help_text="0.7 when absent."
    )
    max_tokens = fields.IntegerField(min_value=1, max_value=fields.INT32_MAX, **_ABSENT)
    project_id = _text(255, help_text="Any text of the client's; gives access to nothing.")
    origin = _text(255, help_text="The application that converses.")
    profile = _text(64)
    template_id = fields.UUIDField(
        **_ABSENT, help_text="Starts from this template: it gives what is not sent."
    )
    values = ValuesField(**_ABSENT, help_text="Values of the template's variables.")


class ConversationChangesSerializer(Serializer):
    """Members given are changed. Null clears; where a value is needed, it changes nothing."""

    title = _text(500)
    system_prompt = _text()
    model_alias = _text(255)
    temperature = fields.NumberField(min_value=0, max_value=2, **_ABSENT)
    max_tokens = fields.IntegerField(min_value=1, max_value=fields.INT32_MAX, **_ABSENT)

    def validate(self, changes):
        for name in ("model_alias", "temperature"):
            if name in changes and changes[name] is None:
                del changes[name]
        return changes


class MessageEntrySerializer(EntrySerializer):
    struct = MessageEntry

    role = RoleField()
    content = fields.ContentField(**_ABSENT)
    tool_calls = ToolsField(**_ABSENT)
    tool_results = ToolsField(**_ABSENT)
    metadata = MetadataField(
        **_ABSENT, help_text="Anything. `cost` (US dollars) adds to the conversation's total."
    )
    input_tokens = _count()
    output_tokens = _count()
    token_count = _count(help_text="Where input and output are not told apart.")


class SingleMessageSerializer(MessageEntrySerializer):
    """A message and the privacy level to store it at."""

    logging_level = LevelField()

    @classmethod
    def made(cls, members):
        level = members.pop("logging_level")
        return MessageEntry(**members), level


class MessageBatchSerializer(EntrySerializer):
    struct = BatchEntry

    messages = MessageEntrySerializer(many=True, max_length=MOST_MESSAGES)
    logging_level = LevelField()

    @classmethod
    def made(cls, members):
        messages = [MessageEntry(**message) for message in members["messages"]]
        return BatchEntry(messages=messages, logging_level=members["logging_level"])


class _MomentField(fields.DateTimeField):
    """A time that an id of ours can carry."""

    default_error_messages = {"datetime_parsing": "Input should be a time from 1970 to 9000"}

    def to_internal_value(self, data):
        at = super().to_internal_value(data)
        return at if 1970 < at.year < 9000 else self.fail("datetime_parsing")


class ImportedMessageSerializer(MessageEntrySerializer):
    struct = ImportedMessage

    timestamp = _MomentField()
    content_hash = _text(64)


class ImportedConversationSerializer(ConversationEntrySerializer):
    struct = ImportedConversation

    id = fields.UUIDField()
    created_at = _MomentField()
    updated_at = _MomentField(**_ABSENT)
    messages = ImportedMessageSerializer(many=True, required=False)

    @classmethod
    def made(cls, members):
        messages = [ImportedMessage(**message) for message in members.pop("messages", ())]
        return ImportedConversation(**members, messages=messages)


class LoggedMessageSerializer(EntrySerializer):
    struct = LoggedMessage

    role = LoggedRoleField(required=False, default="user")
    content = fields.ContentField(**_ABSENT)
    tool_calls = ToolsField(**_ABSENT)
    tool_results = ToolsField(**_ABSENT)
    tool_call_id = _text()
    name = _text()
    metadata = MetadataField(**_ABSENT)


class LoggedResponseSerializer(EntrySerializer):
    struct = LoggedResponse

    content = fields.ContentField(**_ABSENT)
    tool_calls = ToolsField(**_ABSENT)
    model = _text(255)
    finish_reason = _text()
    usage = fields.ObjectField(**_ABSENT)


class LoggedCallSerializer(EntrySerializer):
    struct = LoggedCall

    provider = fields.TextField(max_length=255)
    model = fields.TextField(max_length=255)
    alias = _text(255)
    profile = _text(64)
    origin = _text(255, help_text="`llmring` when absent.")
    cost = _dollars(help_text="US dollars; absent: from its parts, else from the registry.")
    input_cost = _dollars()
    output_cost = _dollars()
    input_tokens = _count()
    output_tokens = _count()
    cached_tokens = _count()
    conversation_id = _text(
        help_text="A conversation of yours to continue; what it already holds is not repeated."
    )
    project_id = _text(255)
    lock_digest = _text(255, help_text="Digest of the client's lockfile, for the receipt.")


class CallEntrySerializer(EntrySerializer):
    struct = CallEntry

    messages = LoggedMessageSerializer(many=True, max_length=MOST_MESSAGES)
    response = LoggedResponseSerializer()
    metadata = LoggedCallSerializer()
    logging_level = LevelField()

    @classmethod
    def made(cls, members):
        return CallEntry(
            messages=[LoggedMessage(**message) for message in members["messages"]],
            response=LoggedResponse(**members["response"]),
            metadata=LoggedCall(**members["metadata"]),
            logging_level=members["logging_level"],
        )


class ConversationsQuery(page_query(default=20, maximum=100)):
    q = fields.TextField(
        required=False, help_text="Words that all occur in the title or in messages."
    )
    project_id = fields.TextField(required=False, help_text="The label given at creation.")
    origin = fields.TextField(required=False)
    model_alias = fields.TextField(required=False)


class OpenQuery(QuerySerializer):
    include_messages = fields.BooleanField(default=True)
    message_limit = fields.IntegerField(
        default=100, min_value=1, max_value=1000, help_text="The newest so many, oldest first."
    )


MessagesQuery = page_query(default=100, maximum=1000)


class RetentionQuery(QuerySerializer):
    retention_days = fields.IntegerField(
        min_value=0, required=False, help_text="Absent or 0: the server's own number of days."
    )


class ConversationSerializer(Serializer):
    """A conversation in replies (conversations/documents.py)."""

    id = fields.UUIDField()
    title = _text(500)
    system_prompt = _text()
    model_alias = fields.TextField()
    temperature = serializers.FloatField()
    max_tokens = _count()
    api_key_id = fields.UUIDField(help_text="Public id of the key that created it.")
    project_id = _text(255)
    origin = _text(255)
    profile = _text(64)
    template_id = fields.UUIDField(allow_null=True)
    message_count = fields.IntegerField()
    total_input_tokens = fields.IntegerField()
    total_output_tokens = fields.IntegerField()
    total_cost = serializers.FloatField(help_text="US dollars.")
    created_at = fields.DateTimeField()
    updated_at = fields.DateTimeField()
    last_message_at = fields.DateTimeField(allow_null=True)


class MessageSerializer(Serializer):
    """A message in replies."""

    id = fields.UUIDField(allow_null=True, help_text="Null: nothing was stored.")
    conversation_id = fields.UUIDField()
    role = serializers.CharField()
    content = fields.ContentField(allow_null=True)
    content_hash = _text(64)
    tool_calls = ToolsField(allow_null=True)
    tool_results = ToolsField(allow_null=True)
    metadata = fields.ObjectField()
    input_tokens = _count()
    output_tokens = _count()
    token_count = _count()
    receipt_id = _text(255)
    timestamp = fields.DateTimeField()


class OpenedSerializer(ConversationSerializer):
    messages = MessageSerializer(many=True)


class LoggedSerializer(Serializer):
    conversation_id = fields.TextField(help_text="Empty: nothing was stored.")
    message_id = fields.TextField(help_text="Of the answer.")
    receipt = fields.ObjectField(allow_null=True)
