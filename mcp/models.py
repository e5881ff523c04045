import hashlib
import json
from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import OwnedModel, ScopedQuerySet
from core.secrets import SealedField

MAX_INDEXED_BYTES = 2_500  # UTF-8 bytes that fit in an index entry (a third of a page)

MAX_PREFIX_LENGTH = 40
MAX_PAGE_ROWS = 1_000
MAX_PAGE_BYTES = 2**24


class ToolExecutionQuerySet(ScopedQuerySet):
    def page(self, *, limit: int, cursor: UUID | None) -> tuple[list, UUID | None]:
        """Return executions older than the cursor, newest first, and the next cursor.

        A page ends early when its inputs and outputs come to MAX_PAGE_BYTES.
        """
        rows = self if cursor is None else self.filter(id__lt=cursor)
        limit = min(limit, MAX_PAGE_ROWS)
        ids, size, more = [], 0, None
        # Sizes first: loading a page of megabytes each is what must not happen.
        for id, row_size in rows.values_list("id", "size")[: limit + 1]:
            if ids and (len(ids) == limit or size + row_size > MAX_PAGE_BYTES):
                more = ids[-1]
                break
            if len(ids) < limit:
                ids.append(id)
                size += row_size
        return list(self.filter(id__in=ids)) if ids else [], more


class Transport(models.TextChoices):
    HTTP = "http", "Streamable HTTP"
    SSE = "sse", "HTTP with SSE (older)"
    STDIO = "stdio", "stdio"
    WEBSOCKET = "websocket", "WebSocket"


class ErrorKind(models.TextChoices):
    UNREACHABLE = "unreachable", "the server was not reached"
    TIMEOUT = "timeout", "no answer in time"
    PROTOCOL = "protocol", "the answer was not MCP"
    TOOL = "tool", "the tool reported an error"
    REFUSED = "refused", "not called"


class Origin(models.TextChoices):
    RECORDED = "recorded", "reported by the client"
    EXECUTED = "executed", "executed for the client"
    ENDPOINT = "endpoint", "called through /mcp"


class ItemQuerySet(ScopedQuerySet):
    def active(self):
        """Return the items that are active and whose server is active."""
        return self.filter(is_active=True, server__is_active=True)


class Server(OwnedModel):
    """An MCP server that a project registered, with its state at the last contact."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project_label = models.CharField(
        max_length=255, null=True, help_text="The client's own label, returned as `project_id`."
    )
    name = models.CharField(max_length=255)
    url = models.CharField(max_length=1000, help_text="A URL; for stdio a command line.")
    transport_type = models.CharField(max_length=20, choices=Transport)
    auth_config = SealedField(null=True)
    capabilities = ExactJSONField(null=True)
    prefix = models.CharField(
        max_length=MAX_PREFIX_LENGTH,
        editable=False,
        help_text="Begins the names of its items on /mcp; never changes.",
    )
    legacy = models.BooleanField(
        default=False, help_text="Greeted with `initialize` at once: it is older than 2026-07-28."
    )
    timeout_seconds = models.FloatField(
        null=True, help_text="Limit of a call; empty: LLMRING_MCP_TIMEOUT."
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)
    reachable = models.BooleanField(null=True, help_text="Whether it answered the last time.")
    last_error = models.CharField(max_length=1000, blank=True, default="")
    contacted_at = models.DateTimeField(null=True)
    refreshed_at = models.DateTimeField(
        null=True, help_text="When its tools, resources and prompts were last replaced."
    )
    has_given_lists = models.BooleanField(
        default=False, help_text="The client sent its items: it is not refreshed by itself."
    )
    next_refresh_at = models.DateTimeField(
        null=True, editable=False, help_text="When a worker is to refresh it; empty: never."
    )
    protocol_version = models.CharField(
        max_length=32,
        blank=True,
        default="",
        help_text="The MCP revision negotiated last.",
    )
    server_info = ExactJSONField(null=True, help_text="`serverInfo` as the server reports it.")
    resource_templates = ExactJSONField(
        default=list, help_text="URI templates of resources that the server does not list."
    )

    class Meta:
        db_table = "servers"
        ordering = ["-id"]
        verbose_name = "MCP server"
        indexes = [
            models.Index(fields=["project_id", "-id"], name="servers_of_project"),
            models.Index(
                fields=["next_refresh_at"],
                condition=Q(is_active=True, next_refresh_at__isnull=False),
                name="servers_to_refresh",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "prefix"], name="servers_prefix_is_unique"
            ),
            models.CheckConstraint(
                condition=Q(transport_type__in=Transport.values), name="servers_transport_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RetiredPrefix(OwnedModel):
    """The prefix of a deleted server: no other server may get it, or names would move to it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    prefix = models.CharField(max_length=MAX_PREFIX_LENGTH)
    url = models.CharField(max_length=1000)
    transport_type = models.CharField(max_length=20)

    class Meta:
        db_table = "retired_prefixes"
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "prefix"], name="retired_prefixes_once_in_a_project"
            )
        ]

    def __str__(self) -> str:
        return self.prefix


class Item(OwnedModel):
    """A tool, resource or prompt of a server. A refresh keeps its id; what is gone is inactive."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    title = models.TextField(null=True)
    description = models.TextField(null=True)
    extra = ExactJSONField(
        default=dict, help_text="Members of the MCP item that have no column: `_meta`, `icons`, …"
    )
    needs_repair = models.BooleanField(
        default=True, editable=False, help_text="Clients would refuse it as it is stored."
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    MEMBERS: ClassVar[dict[str, str]]  # of the MCP item, with the columns that hold them
    objects = ItemQuerySet.as_manager()

    class Meta:
        abstract = True

    def as_mcp(self) -> dict:
        """Return the item as MCP has it, under its own name."""
        values = {member: getattr(self, column) for member, column in self.MEMBERS.items()}
        return {
            **self.extra,
            **{member: value for member, value in values.items() if value is not None},
        }


class Tool(Item):
    MEMBERS = {
        "name": "name",
        "title": "title",
        "description": "description",
        "inputSchema": "input_schema",
        "outputSchema": "output_schema",
        "annotations": "annotations",
    }

    server = models.ForeignKey(
        Server, on_delete=models.CASCADE, related_name="tools", db_index=False
    )
    name = models.CharField(max_length=255)
    offered_name = models.CharField(max_length=64, editable=False, help_text="Its name on /mcp.")
    input_schema = ExactJSONField(default=dict)
    output_schema = ExactJSONField(null=True)
    annotations = ExactJSONField(null=True)
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 (hexadecimal) of the definition that models see."
    )
    accepted_fingerprint = models.CharField(
        max_length=64, help_text="The fingerprint that was seen first, or accepted since."
    )

    class Meta:
        db_table = "tools"
        ordering = ["name", "id"]
        indexes = [models.Index(fields=["project_id", "name", "id"], name="tools_of_project")]
        constraints = [
            models.UniqueConstraint(
                fields=["server", "name", "project_id"], name="tools_once_on_a_server"
            ),
            models.UniqueConstraint(
                fields=["project_id", "offered_name"], name="tools_offered_name_is_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def current_fingerprint(self) -> str:
        """SHA-256 of the definition that models see."""
        definition = [self.title, self.description, self.input_schema, self.output_schema]
        text = json.dumps([*definition, self.annotations], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def is_changed(self) -> bool:
        """Whether the definition differs from the accepted one."""
        return self.fingerprint != self.accepted_fingerprint

    def accept(self) -> None:
        """Accept the loaded definition; one that changes concurrently stays marked as changed."""
        Tool.objects.filter(pk=self.pk).update(accepted_fingerprint=self.fingerprint)
        self.accepted_fingerprint = self.fingerprint


class Resource(Item):
    MEMBERS = {
        "uri": "uri",
        "name": "name",
        "title": "title",
        "description": "description",
        "mimeType": "mime_type",
    }

    server = models.ForeignKey(
        Server, on_delete=models.CASCADE, related_name="resources", db_index=False
    )
    uri = models.CharField(max_length=1000)
    name = models.CharField(max_length=255)
    mime_type = models.CharField(max_length=255, null=True)

    class Meta:
        db_table = "resources"
        ordering = ["uri", "id"]
        indexes = [models.Index(fields=["project_id", "uri", "id"], name="resources_of_project")]
        constraints = [
            models.UniqueConstraint(
                fields=["server", "uri", "project_id"], name="resources_once_on_a_server"
            )
        ]

    def __str__(self) -> str:
        return self.uri


class Prompt(Item):
    MEMBERS = {
        "name": "name",
        "title": "title",
        "description": "description",
        "arguments": "arguments",
    }

    server = models.ForeignKey(
        Server, on_delete=models.CASCADE, related_name="prompts", db_index=False
    )
    name = models.CharField(max_length=255)
    offered_name = models.CharField(max_length=64, editable=False, help_text="Its name on /mcp.")
    arguments = ExactJSONField(null=True, help_text="A list as in MCP, or an object.")

    class Meta:
        db_table = "prompts"
        ordering = ["name", "id"]
        indexes = [models.Index(fields=["project_id", "name", "id"], name="prompts_of_project")]
        constraints = [
            models.UniqueConstraint(
                fields=["server", "name", "project_id"], name="prompts_once_on_a_server"
            ),
            models.UniqueConstraint(
                fields=["project_id", "offered_name"], name="prompts_offered_name_is_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ToolExecution(OwnedModel):
    """One call of a tool: reported by a client that made it, or made for the client."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tool = models.ForeignKey(
        Tool, on_delete=models.DO_NOTHING, related_name="executions", db_index=False
    )  # registration.delete removes them in one statement
    conversation_id = models.UUIDField(null=True)
    origin = models.CharField(max_length=10, choices=Origin)
    input = ExactJSONField()
    output = ExactJSONField(null=True)
    error = models.TextField(null=True)
    error_kind = models.CharField(max_length=12, choices=ErrorKind, null=True)
    duration_ms = models.BigIntegerField(null=True)
    executed_at = models.DateTimeField(default=timezone.now)
    size = models.BigIntegerField(default=0, help_text="Bytes of input and output as JSON.")

    objects = ToolExecutionQuerySet.as_manager()

    class Meta:
        db_table = "tool_executions"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["tool", "-id"], name="tool_executions_of_tool"),
            models.Index(fields=["project_id", "-id"], name="tool_executions_of_project"),
            models.Index(
                fields=["conversation_id"],
                condition=Q(conversation_id__isnull=False),
                name="tool_executions_conversation",
            ),
            # Few calls fail, and people look for those.
            models.Index(
                fields=["error_kind", "-id"],
                condition=Q(error_kind__isnull=False),
                name="tool_executions_failed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool_id} at {self.executed_at:%Y-%m-%d %H:%M}"


# Tool.is_changed as a condition.
CHANGED = ~Q(fingerprint=F("accepted_fingerprint"))
