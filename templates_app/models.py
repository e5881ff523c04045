from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from core.ids import uuid7
from core.json_columns import ExactJSONField
from core.scoping import Caller, ScopedQuerySet
from templates_app import rendering

DEFAULT_MODEL = "claude-3-sonnet-20240229"


class TemplateQuerySet(ScopedQuerySet):
    def visible_to(self, caller: Caller):
        """Return the active templates of the caller's project, and the global ones."""
        own_or_global = Q(project_id=caller.project_id) | Q(project_id__isnull=True)
        return self.filter(own_or_global, is_active=True)

    def record_use(self, at: datetime) -> int:
        """Count one use of each and return their number. Right under any concurrency."""
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
        prompt = {"system_prompt": self.system_prompt, "messages": self.messages}
        return rendering.render(prompt, texts, max_length=settings.MAX_BODY_BYTES)
