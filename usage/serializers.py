"""What the usage routes take and return, for validation and for the OpenAPI page."""

from rest_framework import serializers

from core import fields
from core.serializers import QuerySerializer, Serializer
from usage.entries import MOST, TOKEN_CLASSES, unsound_classes


def _count(**kwargs) -> fields.IntegerField:
    return fields.IntegerField(min_value=0, max_value=MOST, **kwargs)


def _text(longest: int, **kwargs) -> fields.TextField:
    return fields.TextField(max_length=longest, required=False, allow_null=True, **kwargs)


class LogEntrySerializer(Serializer):
    """The members of usage.entries.LogEntry, leniently; a test holds the two equal."""

    provider = fields.TextField(max_length=50)
    model = fields.TextField(
        max_length=255,
        help_text="With or without the provider: `gpt-4o-mini`, `openai:gpt-4o-mini`.",
    )
    input_tokens = _count(help_text="All prompt tokens, cached ones included.")
    output_tokens = _count(help_text="All completion tokens, thinking included.")
    cached_input_tokens = _count(
        required=False, allow_null=True, default=0, help_text="Prompt tokens read from a cache."
    )
    alias = _text(128)
    profile = _text(64, help_text="`default` when absent or empty.")
    cost = fields.NumberField(
        min_value=0,
        required=False,
        allow_null=True,
        help_text="US dollars. Wins over the registry's prices; absent: computed from them.",
    )
    latency_ms = _count(required=False, allow_null=True)
    origin = _text(255, help_text="The application that made the call.")
    id_at_origin = _text(255, help_text="The application's own id of the call or conversation.")
    metadata = fields.ObjectField(
        required=False,
        help_text="Anything. These members count tokens of classes with their own prices: "
        + ", ".join(f"`{name}`" for name in TOKEN_CLASSES)
        + ".",
    )

    default_error_messages = {
        "less_than_equal": "Input should be less than or equal to input_tokens",
        "token_class": "Input should be a count of tokens",
    }

    def validate_metadata(self, metadata):
        if wrong := {name: self._error("token_class") for name in unsound_classes(metadata)}:
            raise serializers.ValidationError(wrong)
        return metadata

    def validate(self, entry):
        if (entry["cached_input_tokens"] or 0) > entry["input_tokens"]:
            raise serializers.ValidationError(
                {"cached_input_tokens": self._error("less_than_equal")}
            )
        return entry

    def _error(self, code: str) -> serializers.ErrorDetail:
        return serializers.ErrorDetail(self.error_messages[code], code)


class BatchEntrySerializer(LogEntrySerializer):
    event_id = _text(255, help_text="Your id of the event: sent again, it is stored once.")
    timestamp = fields.DateTimeField(
        required=False, allow_null=True, help_text="When the call happened; default now."
    )


class LogReplySerializer(Serializer):
    log_id = fields.UUIDField()
    cost = serializers.FloatField(help_text="US dollars; 0 when no price is known.")
    timestamp = fields.DateTimeField()
    cost_source = serializers.ChoiceField(["caller", "registry", "unpriced"])


class WindowQuery(QuerySerializer):
    """A window of time and the labels to narrow it by."""

    start_date = fields.TextField(
        required=False, help_text="Date or date and time, inclusive; default 30 days back."
    )
    end_date = fields.TextField(
        required=False, help_text="Date (its whole day) or date and time, inclusive; default today."
    )
    origin = fields.TextField(required=False)
    model = fields.TextField(required=False)
    alias = fields.TextField(required=False)
    profile = fields.TextField(required=False)
    provider = fields.TextField(required=False)


class StatsQuery(WindowQuery):
    group_by = serializers.ChoiceField(["day", "week", "month"], default="day")


class LogsQuery(WindowQuery):
    limit = fields.IntegerField(default=50, min_value=1, max_value=500)
    offset = fields.IntegerField(default=0, min_value=0)
    cursor = fields.UUIDField(
        required=False, help_text="Only logs older than the one with this id: the last of a page."
    )


class ExportQuery(WindowQuery):
    format = serializers.ChoiceField(["ndjson", "csv"], default="ndjson")
