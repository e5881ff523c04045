from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Max, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import Caller, ScopedQuerySet
from templates_app import rendering

DEFAULT_MODEL = "claude-3-sonnet-20240229"
# What a version keeps of its template.
VERSIONED = (
    "name",
    "description",
    "system_prompt",
    "messages",
    "variables",
    "model",
    "temperature",
    "max_tokens",
    "tool_config",
)


class TemplateQuerySet(ScopedQuerySet):
    def visible_to(self, caller: Caller):
        """Return the active templates of the caller's project, and the global ones."""
        own_or_global = Q(project_id=caller.project_id) | Q(project_id__isnull=True)
        return self.filter(own_or_global, is_active=True)

    def record_use(self, at: datetime) -> int:
        """Count one use of each and return their number. Safe under concurrency."""
        return self.update(
            usage_count=F("usage_count") + 1, last_used_at=Greatest(F("last_used_at"), at)
        )


class ConversationTemplate(models.Model):
    """A prompt to be used again. Without a project it is global: every project may use it.

    Global templates are made in the admin, and only there.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project_id = models.UUIDField(null=True, blank=True, help_text="Empty: global.")
    api_key_id = models.UUIDField(null=True, editable=False)
    user_id = models.UUIDField(null=True, editable=False)
    project_label = models.CharField(max_length=255, null=True, editable=False)
    name = models.CharField(max_length=255)
    description = models.TextField(null=True, blank=True)
    system_prompt = models.TextField(
        null=True, blank=True, help_text="May hold variables, as {{name}}."
    )
    messages = ExactJSONField(
        default=list, blank=True, help_text="First messages: objects of role and content."
    )
    variables = ExactJSONField(
        default=dict, blank=True, help_text="Defaults by name; null: a value must be given."
    )
    model = models.CharField(max_length=255, default=DEFAULT_MODEL)
    temperature = models.FloatField(default=0.7)
    max_tokens = models.BigIntegerField(null=True, blank=True)
    tool_config = ExactJSONField(default=dict, blank=True)
    created_by = models.CharField(max_length=255, null=True, blank=True)
    is_active = models.BooleanField(default=True)
    usage_count = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    objects = TemplateQuerySet.as_manager()

    class Meta:
        db_table = "conversation_templates"
        verbose_name = "template"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(
                fields=["project_id", "-created_at", "-id"], name="templates_of_a_project"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(temperature__gte=0, temperature__lte=2),
                name="templates_temperature_between_0_and_2",
            ),
            models.CheckConstraint(
                condition=Q(max_tokens__isnull=True) | Q(max_tokens__gt=0),
                name="templates_max_tokens_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_global(self) -> bool:
        return self.project_id is None

    def render(self, values: dict) -> dict:
        """Return `system_prompt` and `messages`, filled with the values, else the defaults.

        The values are checked in templates_app/services.py. Raises rendering.TooLong.
        """
        stated = {name: value for name, value in values.items() if value is not None}
        texts = {
            name: rendering.text_of(value) for name, value in (self.variables | stated).items()
        }
        return self.render_texts(texts)

    def render_texts(self, texts: Mapping[str, str]) -> dict:
        """Return `system_prompt` and `messages`, filled with these texts as they are.

        Placeholders of other names stay. Raises rendering.TooLong.
        """
        return rendering.render(self.prompt, texts, max_length=settings.MAX_BODY_BYTES)

    @property
    def prompt(self) -> dict[str, Any]:
        """The members with placeholders."""
        return {"system_prompt": self.system_prompt, "messages": self.messages}

    def members(self) -> dict[str, Any]:
        """Return what a version keeps of the template."""
        return {name: getattr(self, name) for name in VERSIONED}


class VersionQuerySet(ScopedQuerySet):
    def keep(self, template: ConversationTemplate, *, author: str) -> None:
        """Keep the template as it is stored, before a change of its text.

        In a transaction that has locked the template: numbers count from 1 without gaps.
        """
        last = self.filter(template=template).aggregate(last=Max("number", default=0))["last"]
        self.create(
            template=template,
            project_id=template.project_id,
            number=last + 1,
            members=template.members(),
            saved_at=template.updated_at,
            replaced_by=author,
        )


class TemplateVersion(models.Model):
    """A text of a template that was replaced. Versions are never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    template = models.ForeignKey(
        ConversationTemplate, on_delete=models.CASCADE, related_name="versions", db_index=False
    )
    project_id = models.UUIDField(null=True)
    number = models.PositiveIntegerField(help_text="From 1.")
    members = ExactJSONField(help_text="What the template was.")
    saved_at = models.DateTimeField(help_text="When it was saved.")
    replaced_at = models.DateTimeField(default=timezone.now)
    replaced_by = models.CharField(max_length=100, help_text="The key or person that changed it.")

    objects = VersionQuerySet.as_manager()

    class Meta:
        db_table = "template_versions"
        verbose_name = "template version"
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                # The project as in every unique index; the template's lock is what counts.
                fields=["template", "number", "project_id"],
                name="template_versions_number_once",
            )
        ]

    def __str__(self) -> str:
        return f"version {self.number}"
