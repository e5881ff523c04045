from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import OwnedModel
from core.secrets import SealedField

MAX_PREFIX_LENGTH = 40


class Transport(models.TextChoices):
    HTTP = "http", "Streamable HTTP"
    SSE = "sse", "HTTP with SSE (older)"
    STDIO = "stdio", "stdio"
    WEBSOCKET = "websocket", "WebSocket"


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
