"""The bodies and queries of the receipt routes."""

from datetime import UTC, datetime

from rest_framework import serializers

from core import fields
from core.serializers import QuerySerializer, Serializer
from receipts.documents import MAX_INTEGER

MAX_LENGTH = 255


class TimestampField(fields.DateTimeField):
    """An ISO 8601 time that stays the text it is."""

    def to_internal_value(self, data):
        try:
            super().to_internal_value(data).astimezone(UTC)
        except OverflowError:
            self.fail("datetime_parsing")
        return data.strip()

    def to_representation(self, value):
        return value


class AmountField(fields.NumberField):
    """A number that JSON readers agree on; numeric text becomes one."""

    def __init__(self, *, as_text: bool = False, **kwargs) -> None:
        self.as_text = as_text
        super().__init__(max_value=MAX_INTEGER, **kwargs)

    def to_internal_value(self, data):
        number = super().to_internal_value(data)
        if isinstance(data, str):
            return data.strip() if self.as_text else float(number)
        return int(data) if isinstance(data, bool) else data


def _text(**kwargs) -> fields.TextField:
    return fields.TextField(max_length=MAX_LENGTH, **kwargs)


def _optional(**kwargs) -> fields.TextField:
    return _text(required=False, allow_null=True, **kwargs)


def _count(**kwargs) -> fields.IntegerField:
    return fields.IntegerField(min_value=0, max_value=MAX_INTEGER, **kwargs)


def _signed_count() -> fields.IntegerField:
    return fields.IntegerField(min_value=-MAX_INTEGER, max_value=MAX_INTEGER)


class FlatDraft(Serializer):
    """An unsigned receipt in the flat form. Costs are stated, not cross-checked."""

    receipt_id = _optional(help_text="Default: `rcpt_` and 16 hexadecimal digits.")
    timestamp = TimestampField(required=False, allow_null=True, help_text="Default: now.")
    alias = _text()
    profile = _optional(help_text="Default: `default`.")
    lock_digest = _optional()
    provider = _text()
    model = _text()
    prompt_tokens = _count()
    completion_tokens = _count()
    total_tokens = _count()
    input_cost = AmountField(min_value=0)
    output_cost = AmountField(min_value=0)
    total_cost = AmountField(min_value=0)


class TokensDraft(Serializer):
    input = _count(help_text="All prompt tokens, cached ones included.")
    output = _count(help_text="All completion tokens.")
    cached_input = _count(required=False, allow_null=True)

    default_error_messages = {"less_than_equal": "Input should be less than or equal to input"}

    def validate(self, tokens):
        if (tokens.get("cached_input") or 0) > tokens["input"]:
            message = self.error_messages["less_than_equal"]
            raise serializers.ValidationError(
                {"cached_input": serializers.ErrorDetail(message, "less_than_equal")}
            )
        return tokens


class CostDraft(Serializer):
    amount = AmountField(
        min_value=0,
        as_text=True,
        required=False,
        allow_null=True,
        help_text="US dollars, a number or decimal text. Absent: by the registry's prices.",
    )
    calculation = fields.TextField(
        required=False, allow_null=True, help_text="Absent: terms, prices and registry."
    )


class NestedDraft(Serializer):
    """An unsigned receipt in the nested form. Further members are signed as they are."""

    id = _optional(help_text="Default: `rcpt_` and 16 hexadecimal digits.")
    timestamp = TimestampField(required=False, allow_null=True, help_text="Default: now.")
    provider = _optional()
    model = _text()
    alias = _optional(help_text="Default: `default`.")
    profile = _optional(help_text="Default: `default`.")
    lock_digest = _optional()
    tokens = TokensDraft()
    cost = CostDraft(required=False, allow_null=True)


class SignedFlat(Serializer):
    """What a signed receipt in the flat form must have to be found again."""

    receipt_id = _text(allow_blank=False)
    timestamp = TimestampField()
    alias = _text()
    profile = _text(required=False)
    lock_digest = _text(required=False)
    provider = _text()
    model = _text()
    prompt_tokens = _signed_count()
    completion_tokens = _signed_count()
    total_tokens = _signed_count()
    input_cost = AmountField()
    output_cost = AmountField()
    total_cost = AmountField()
    receipt_type = serializers.ChoiceField(["single", "batch"], required=False, allow_null=True)


class SignedTokens(Serializer):
    input = _signed_count()
    output = _signed_count()


class SignedCost(Serializer):
    amount = AmountField(as_text=True)


class SignedNested(Serializer):
    """What a signed receipt in the nested form must have to be found again."""

    id = _text(allow_blank=False)
    timestamp = TimestampField()
    provider = _optional()
    model = _text()
    alias = _optional()
    profile = _optional()
    key_id = _optional()
    tokens = SignedTokens()
    cost = SignedCost()


class GenerationSerializer(Serializer):
    """Which logs a batch receipt certifies. The first of the four ways that is given counts."""

    conversation_id = fields.UUIDField(required=False, allow_null=True)
    start_date = fields.DateTimeField(required=False, allow_null=True)
    end_date = fields.DateTimeField(required=False, allow_null=True)
    log_ids = serializers.ListField(
        child=fields.UUIDField(), max_length=10_000, required=False, allow_null=True
    )
    since_last_receipt = fields.BooleanField(
        required=False, allow_null=True, help_text="All that no receipt has certified yet."
    )
    description = fields.TextField(required=False, allow_null=True, max_length=10_000)
    tags = serializers.ListField(
        child=_text(), max_length=100, required=False, allow_null=True, help_text="Up to 100."
    )


class ReceiptPageQuery(QuerySerializer):
    """Pages of receipts. A higher limit than 1000 is taken for 1000."""

    limit = fields.IntegerField(default=100, min_value=1)
    offset = fields.IntegerField(default=0, min_value=0)

    def validate_limit(self, limit):
        return min(limit, 1000)


def moment(text: str) -> datetime:
    """The aware time that a checked timestamp names."""
    return fields.DateTimeField().to_internal_value(text)
