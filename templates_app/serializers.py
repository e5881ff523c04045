from rest_framework import serializers

from core import fields
from core.pagination import page_query
from core.serializers import QuerySerializer, Serializer
from templates_app import rendering
from templates_app.models import DEFAULT_MODEL

_ABSENT = {"required": False, "allow_null": True}
MOST_MESSAGES = 100
MOST_VARIABLES = 100


def _text(longest: int | None = None, **kwargs) -> fields.TextField:
    return fields.TextField(max_length=longest, **_ABSENT, **kwargs)


class ValuesField(fields.ObjectField):
    """Text, numbers and truth values by name; null where there is none."""

    default_error_messages = {
        "variable_name": "Names are letters, digits and underscores, 64 at most",
        "variable_value": "Input should be text, a number or a truth value",
        "too_many": "There should be at most {most} variables",
    }

    def to_internal_value(self, data):
        values = super().to_internal_value(data)
        if len(values) > MOST_VARIABLES:
            self.fail("too_many", most=MOST_VARIABLES)
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


class TemplateMessageSerializer(Serializer):
    role = serializers.ChoiceField(["system", "user", "assistant", "tool"])
    content = fields.ContentField()


class TemplateChangesSerializer(Serializer):
    """Members given are changed. Null clears; where a value is needed, it changes nothing."""

    name = fields.TextField(max_length=255, allow_blank=False, **_ABSENT)
    description = _text()
    system_prompt = _text(help_text="Variables stand in it as `{{name}}`.")
    messages = TemplateMessageSerializer(many=True, max_length=MOST_MESSAGES, **_ABSENT)
    variables = ValuesField(
        **_ABSENT, help_text="Every variable with its default; null: a value must be given."
    )
    model = _text(255, help_text=f"`{DEFAULT_MODEL}` when absent.")
    temperature = fields.NumberField(min_value=0, max_value=2, **_ABSENT)
    max_tokens = fields.IntegerField(min_value=1, max_value=fields.INT32_MAX, **_ABSENT)
    tool_config = fields.ObjectField(**_ABSENT)
    is_active = fields.BooleanField(**_ABSENT)

    CLEARABLE = {"description", "system_prompt", "max_tokens"}

    def validate(self, changes):
        kept = {
            name: value
            for name, value in changes.items()
            if value is not None or name in self.CLEARABLE
        }
        if "temperature" in kept:
            kept["temperature"] = float(kept["temperature"])
        return kept


class NewTemplateSerializer(TemplateChangesSerializer):
    name = fields.TextField(max_length=255, allow_blank=False)
    created_by = _text(255)
    project_id = _text(255, help_text="Any text of the client's; gives access to nothing.")
    is_active = None

    CLEARABLE = {*TemplateChangesSerializer.CLEARABLE, "created_by", "project_id"}


class UseSerializer(Serializer):
    values = ValuesField(**_ABSENT, help_text="Values by name; with them the reply has `rendered`.")


class TemplatesQuery(page_query(default=50, maximum=100)):
    created_by = fields.TextField(required=False)


class StatsQuery(QuerySerializer):
    limit = fields.IntegerField(default=20, min_value=1, max_value=50)


class TemplateSerializer(Serializer):
    """A template in replies."""

    id = fields.UUIDField()
    name = fields.TextField()
    description = _text()
    system_prompt = _text()
    messages = TemplateMessageSerializer(many=True)
    variables = fields.ObjectField()
    model = fields.TextField()
    temperature = serializers.FloatField()
    max_tokens = fields.IntegerField(allow_null=True)
    tool_config = fields.ObjectField()
    created_by = _text()
    api_key_id = fields.UUIDField(allow_null=True)
    project_id = fields.TextField(source="project_label", allow_null=True)
    is_global = fields.BooleanField(help_text="Made by the operator, for all projects.")
    is_active = fields.BooleanField()
    usage_count = fields.IntegerField()
    created_at = fields.DateTimeField()
    updated_at = fields.DateTimeField()
    last_used_at = fields.DateTimeField(allow_null=True)


class RenderedSerializer(Serializer):
    system_prompt = _text()
    messages = TemplateMessageSerializer(many=True)


class UsedSerializer(TemplateSerializer):
    rendered = RenderedSerializer(help_text="Only when `values` was sent.")


class StatSerializer(Serializer):
    template_id = fields.UUIDField(source="id")
    template_name = fields.TextField(source="name")
    usage_count = fields.IntegerField()
    last_used_at = fields.DateTimeField(allow_null=True)
    created_at = fields.DateTimeField()
