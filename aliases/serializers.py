from rest_framework import serializers

from aliases.lockfile import DEFAULT_PROFILE, FORMATS
from aliases.models import AliasBinding
from core import fields
from core.serializers import QuerySerializer, Serializer

MOST_BINDINGS = 10_000  # of one call
# Parts of paths beside `/aliases/{alias}`.
_RESERVED = {"bind", "bulk_upsert", "export", "resolve"}


class AliasField(fields.TextField):
    default_error_messages = {
        "reserved": "This name is part of a path and cannot be an alias",
        "trailing_slash": "An alias cannot end with a slash",
    }

    def __init__(self, **kwargs) -> None:
        super().__init__(max_length=64, allow_blank=False, **kwargs)

    def to_internal_value(self, data):
        alias = super().to_internal_value(data)
        if alias in _RESERVED:
            self.fail("reserved")
        if alias.endswith("/"):
            self.fail("trailing_slash")
        return alias


class ProfileField(fields.TextField):
    """Null and the empty text are the default profile."""

    def __init__(self, **kwargs) -> None:
        super().__init__(max_length=64, required=False, allow_null=True, **kwargs)


class TargetSerializer(Serializer):
    model = fields.TextField(
        max_length=255,
        allow_blank=False,
        help_text="`provider:model`, or several of them, separated by commas, in order.",
    )
    metadata = fields.ObjectField(required=False, allow_null=True)


class BulkItemSerializer(TargetSerializer):
    alias = AliasField()


class BulkSerializer(Serializer):
    items = BulkItemSerializer(many=True, max_length=MOST_BINDINGS)


class PutSerializer(TargetSerializer):
    profile = ProfileField()


class BindSerializer(BulkItemSerializer):
    profile = ProfileField()


class SinceField(fields.DateTimeField):
    """A revision or a moment."""

    default_error_messages = {"datetime_parsing": "Input should be a revision or an ISO 8601 time"}

    def to_internal_value(self, data):
        if data.isascii() and data.isdigit() and len(data) < 19:
            return int(data)
        # An unescaped plus sign of an offset arrives as a space.
        return super().to_internal_value(data.replace(" ", "+"))


class ProfileQuery(QuerySerializer):
    profile = fields.TextField(max_length=64, default=DEFAULT_PROFILE)


class ResolveQuery(ProfileQuery):
    alias = fields.TextField()


class AliasesQuery(QuerySerializer):
    profile = fields.TextField(max_length=64, required=False, help_text="Absent: all of them.")
    since = SinceField(
        required=False,
        help_text="A revision, or an ISO 8601 time: only what changed after it, removals included.",
    )


class ExportQuery(QuerySerializer):
    profile = fields.TextField(max_length=64, required=False, help_text="Absent: all of them.")
    format = serializers.ChoiceField(list(FORMATS), default="json")


class AliasSerializer(serializers.ModelSerializer):
    class Meta:
        model = AliasBinding
        fields = [
            "id",
            "project_id",
            "profile",
            "alias",
            "model",
            "metadata",
            "revision",
            "created_at",
            "updated_at",
        ]


class ChangeSerializer(AliasSerializer):
    deleted = serializers.SerializerMethodField(help_text="Whether the alias is gone.")

    class Meta(AliasSerializer.Meta):
        fields = [*AliasSerializer.Meta.fields, "deleted"]

    def get_deleted(self, row) -> bool:
        return row.deleted_at is not None


class ResolvedSerializer(Serializer):
    alias = fields.TextField()
    model = fields.TextField(allow_null=True, help_text="Null: no such alias.")
