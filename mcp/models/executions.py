from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import OwnedModel, ScopedQuerySet
from mcp.models.items import Tool

MAX_PAGE_ROWS = 1_000
MAX_PAGE_BYTES = 2**24


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
