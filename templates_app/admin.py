from django import forms
from django.contrib import admin
from django.utils import timezone

from core import schemas
from core.admin import ModelAdmin
from core.errors import InvalidInput
from templates_app.models import ConversationTemplate
from templates_app.schemas import TemplateChanges


class TemplateForm(forms.ModelForm):
    """Accepts what the API accepts: another shape would break it."""

    class Meta:
        model = ConversationTemplate
        fields = [
            "name",
            "description",
            "system_prompt",
            "messages",
            "variables",
            "model",
            "temperature",
            "max_tokens",
            "tool_config",
            "created_by",
            "is_active",
        ]

    def clean(self):
        cleaned = super().clean()
        members = {
            name: value
            for name, value in cleaned.items()
            if name in TemplateChanges.model_fields and value is not None
        }
        try:
            schemas.validate(TemplateChanges, members)
        except InvalidInput as error:
            for issue in error.issues:
                _, name, *path = issue["loc"]
                where = "".join(f"{part}: " for part in path)
                self.add_error(name, f"{where}{issue['msg']}")
        return cleaned


@admin.register(ConversationTemplate)
class ConversationTemplateAdmin(ModelAdmin):
    """Templates of all projects; those added here are global."""

    form = TemplateForm
    list_display = ["name", "is_shared", "model", "usage_count", "last_used_at", "is_active"]
    list_filter = [("project_id", admin.EmptyFieldListFilter), "is_active"]
    search_fields = ["name", "created_by"]
    readonly_fields = ["project_id", "api_key_id", "usage_count", "created_at", "last_used_at"]

    @admin.display(description="global", boolean=True)
    def is_shared(self, template: ConversationTemplate) -> bool:
        return template.is_global

    def has_delete_permission(self, request, obj=None) -> bool:
        return False  # taken out of use by is_active: conversations name it

    def save_model(self, request, obj, form, change) -> None:
        obj.updated_at = timezone.now()
        super().save_model(request, obj, form, change)
