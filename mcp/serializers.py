"""Request and response bodies of the MCP routes."""

from rest_framework import serializers

from core import fields
from core.serializers import QuerySerializer, Serializer
from mcp import credentials
from mcp.models import MAX_INDEXED_BYTES, Prompt, Resource, Server, Tool, ToolExecution, Transport

MAX_ITEMS = 5_000  # of one kind in one refresh
_ABSENT = {"required": False, "allow_null": True}


def _text(longest: int | None = None, **kwargs) -> fields.TextField:
    return fields.TextField(max_length=longest, **_ABSENT, **kwargs)


class ServerChangesSerializer(Serializer):
    """Members given are changed; null leaves them as they are, `{}` clears an object."""

    name = _text(255)
    url = _text(1000, help_text="An address; for stdio a command line that the operator listed.")
    transport_type = serializers.ChoiceField(Transport.choices, **_ABSENT)
    auth_config = fields.ObjectField(
        **_ABSENT, help_text="`bearer`, `api_key`, `basic` or `oauth2`; kept sealed, shown masked."
    )
    capabilities = fields.ObjectField(**_ABSENT)
    is_active = fields.BooleanField(**_ABSENT)
    project_id = _text(255, help_text="Any text of the client's; gives access to nothing.")

    def validate(self, entry):
        if entry.get("auth_config"):
            credentials.check(entry["auth_config"])
        return {name: value for name, value in entry.items() if value is not None}


class ServerEntrySerializer(ServerChangesSerializer):
    name = fields.TextField(max_length=255, allow_blank=False)
    url = fields.TextField(
        max_length=1000,
        allow_blank=False,
        help_text="An address; for stdio a command line that the operator listed.",
    )
    transport_type = serializers.ChoiceField(Transport.choices)


class ItemSerializer(Serializer):
    """An item of a refresh, in the words of MCP or in our own (`input_schema`)."""

    description = _text()
    title = _text()


class NamedItemSerializer(ItemSerializer):
    name = fields.TextField(max_length=255, allow_blank=False)


class ToolItemSerializer(NamedItemSerializer):
    inputSchema = fields.ObjectField(**_ABSENT)
    input_schema = fields.ObjectField(**_ABSENT)
    outputSchema = fields.ObjectField(**_ABSENT)
    annotations = fields.ObjectField(**_ABSENT)


class ResourceItemSerializer(ItemSerializer):
    uri = fields.TextField(max_length=1000, allow_blank=False)
    name = _text(255)
    mimeType = _text(255)
    mime_type = _text(255)

    def validate_uri(self, uri):
        if len(uri.encode()) > MAX_INDEXED_BYTES:
            raise serializers.ValidationError("", code="string_too_long")
        return uri


class ArgumentsField(fields.JSONField):
    """A list, as in MCP, or an object."""

    default_error_messages = {"list_type": "Input should be a valid list or dictionary"}

    def to_internal_value(self, data):
        if not isinstance(data, list | dict):
            self.fail("list_type")
        return super().to_internal_value(data)


class PromptItemSerializer(NamedItemSerializer):
    arguments = ArgumentsField(**_ABSENT)


class RefreshSerializer(Serializer):
    """Lists that replace what is stored. Without any of them the server itself is asked."""

    tools = ToolItemSerializer(many=True, max_length=MAX_ITEMS, **_ABSENT)
    resources = ResourceItemSerializer(many=True, max_length=MAX_ITEMS, **_ABSENT)
    prompts = PromptItemSerializer(many=True, max_length=MAX_ITEMS, **_ABSENT)


class ToolEntrySerializer(Serializer):
    server_id = fields.UUIDField()
    name = fields.TextField(max_length=255, allow_blank=False)
    description = _text()
    input_schema = fields.ObjectField(help_text="JSON Schema of the input.")


class ExecutionEntrySerializer(Serializer):
    """A call to make; or, with `output`, `error` or `duration_ms`, one to record."""

    input = fields.ObjectField(help_text="The tool's arguments.")
    output = fields.ObjectField(**_ABSENT)
    error = _text()
    duration_ms = fields.IntegerField(min_value=0, **_ABSENT)
    conversation_id = fields.UUIDField(**_ABSENT, help_text="A conversation of yours.")


class AcceptSerializer(Serializer):
    fingerprint = _text(
        64, help_text="The fingerprint that you reviewed: another one is not accepted."
    )


class ServersQuery(QuerySerializer):
    is_active = fields.BooleanField(default=True, help_text="false: only those switched off.")


class ItemsQuery(ServersQuery):
    server_id = fields.UUIDField(required=False)


class HistoryQuery(QuerySerializer):
    limit = fields.IntegerField(default=100, min_value=0, help_text="1,000 at most are shown.")
    cursor = fields.UUIDField(
        required=False, help_text="`X-Next-Cursor` of the page before: what is older."
    )


class ServerSerializer(serializers.ModelSerializer):
    auth_config = serializers.SerializerMethodField(help_text="With masked secrets.")
    project_id = serializers.CharField(source="project_label", allow_null=True)

    class Meta:
        model = Server
        fields = [
            *("name", "url", "transport_type", "auth_config", "capabilities", "is_active", "id"),
            *("api_key_id", "project_id", "created_at", "updated_at"),
            *("reachable", "last_error", "contacted_at", "refreshed_at", "protocol_version"),
        ]

    def get_auth_config(self, server) -> dict | None:
        return credentials.masked_config(server.auth_config)


class ServerOfToolSerializer(serializers.ModelSerializer):
    class Meta:
        model = Server
        fields = ["id", "name", "url"]


class ItemOfServerSerializer(serializers.ModelSerializer):
    """`project_id` is the label that the client gave to the server."""

    project_id = serializers.CharField(source="server.project_label", allow_null=True)


_OF_ALL = ("is_active", "id", "server_id", "api_key_id", "project_id", "created_at", "title")


class ToolSerializer(ItemOfServerSerializer):
    server = ServerOfToolSerializer()
    changed = serializers.BooleanField(
        source="is_changed", help_text="Its description or schema is not the accepted one."
    )

    class Meta:
        model = Tool
        fields = [
            *("name", "description", "input_schema", *_OF_ALL),
            *("output_schema", "annotations", "changed", "fingerprint", "server"),
        ]


class ResourceSerializer(ItemOfServerSerializer):
    class Meta:
        model = Resource
        fields = ["uri", "name", "description", "mime_type", *_OF_ALL]


class PromptSerializer(ItemOfServerSerializer):
    class Meta:
        model = Prompt
        fields = ["name", "description", "arguments", *_OF_ALL]


class ExecutionSerializer(serializers.ModelSerializer):
    class Meta:
        model = ToolExecution
        fields = [
            *("id", "tool_id", "conversation_id", "input", "output", "error", "duration_ms"),
            *("executed_at", "error_kind"),
        ]


class RefreshedSerializer(Serializer):
    server = ServerSerializer()
    tools = ToolSerializer(many=True)
    resources = ResourceSerializer(many=True)
    prompts = PromptSerializer(many=True)


class _OfServer(Serializer):
    """A resource or prompt with the name and address of its server beside it."""

    server_name = serializers.CharField(source="server.name")
    server_url = serializers.CharField(source="server.url")


class ResourceOfServerSerializer(ResourceSerializer, _OfServer):
    class Meta(ResourceSerializer.Meta):
        fields = [*ResourceSerializer.Meta.fields, "server_name", "server_url"]


class PromptOfServerSerializer(PromptSerializer, _OfServer):
    class Meta(PromptSerializer.Meta):
        fields = [*PromptSerializer.Meta.fields, "server_name", "server_url"]


class ContentSerializer(Serializer):
    resource = ResourceOfServerSerializer()
    content = fields.JSONField(
        allow_null=True, help_text="The text, or the base64 of what is no text; of the first part."
    )
    contents = fields.ListField(help_text="All parts, as MCP has them.")
    mime_type = serializers.CharField(allow_null=True)
    error = serializers.CharField(allow_null=True)


class RenderedPromptSerializer(Serializer):
    prompt = PromptOfServerSerializer()
    arguments = fields.ObjectField()
    rendered = serializers.CharField(allow_null=True, help_text="The texts of all messages.")
    messages = fields.ListField(help_text="The messages, as MCP has them.")
    description = serializers.CharField(allow_null=True)
    error = serializers.CharField(allow_null=True)
