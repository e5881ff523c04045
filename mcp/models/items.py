import hashlib
import json
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import OwnedModel, ScopedQuerySet
from mcp.models.servers import Server

MAX_INDEXED_BYTES = 2_500  # UTF-8 bytes that fit in an index entry (a third of a page)


class ItemQuerySet(ScopedQuerySet):
    def active(self):
        """Return the items that are active and whose server is active."""
        return self.filter(is_active=True, server__is_active=True)


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


# Tool.is_changed as a condition.
CHANGED = ~Q(fingerprint=F("accepted_fingerprint"))


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
