from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from accounts.admin.links import OwnerLinks
from core import parsing
from core.admin import ModelAdmin
from core.errors import InvalidInput
from core.scoping import person_as_author
from templates_app import rendering, services
from templates_app.form_fields import MessagesField, VariablesField
from templates_app.models import VERSIONED, ConversationTemplate, TemplateVersion
from templates_app.preview import preview
from templates_app.schemas import TemplateChanges
from templates_app.template_text import as_text, content_text, difference

_MAX_LISTED = 50  # versions
CONFLICT = "Somebody else saved this template meanwhile. Compare, then save again."


class TemplateForm(forms.ModelForm):
    """Accepts what the API accepts: another shape would break it."""

    messages = MessagesField(required=False, help_text="The first messages of a conversation.")
    variables = VariablesField(
        required=False, help_text="Stand in the texts as {{name}}. Every one has to be named here."
    )

    class Meta:
        model = ConversationTemplate
        fields = [*VERSIONED, "created_by", "is_active"]

    def clean(self):
        cleaned = super().clean()
        members = {
            name: value
            for name, value in cleaned.items()
            if name in TemplateChanges.model_fields and value is not None
        }
        try:
            parsing.validate(TemplateChanges, members)
        except InvalidInput as error:
            for issue in error.issues:
                _, name, *path = issue["loc"]
                where = "".join(f"{part}: " for part in path)
                self.add_error(name, f"{where}{issue['msg']}")
        self._check_conflict()
        return cleaned

    def _check_conflict(self) -> None:
        """Refuse to replace a text that this form was not loaded from; show both."""
        loaded_at = self.data.get("loaded_at")
        if loaded_at is None or self.instance._state.adding:
            return
        # Locked until it is saved: the admin's views are transactions.
        stored = ConversationTemplate.objects.select_for_update().get(pk=self.instance.pk)
        if stored.updated_at.isoformat() != loaded_at:
            mine = {name: self.cleaned_data.get(name) for name in VERSIONED}
            self.conflict = difference(stored.members(), mine) or "Nothing."
            self.add_error(None, CONFLICT)


@admin.register(ConversationTemplate)
class ConversationTemplateAdmin(OwnerLinks, ModelAdmin):
    """Templates of all projects; those added here are global."""

    form = TemplateForm
    warn_unsaved_form = True
    list_display = [
        *("name", "is_shared", "project", "model"),
        *("usage_count", "last_used_at", "is_active"),
    ]
    list_filter = [("project_id", admin.EmptyFieldListFilter), "is_active"]
    list_after_template = "templates_app/list_tail.html"
    search_fields = ["name", "created_by"]
    fieldsets = [
        (None, {"fields": ["name", "description", "system_prompt", "messages", "variables"]}),
        ("Model", {"fields": ["model", "temperature", "max_tokens", "tool_config"]}),
        (
            "More",
            {
                "fields": [
                    ("created_by", "is_active"),
                    ("project", "api_key"),
                    ("usage_count", "last_used_at"),
                    "created_at",
                ]
            },
        ),
    ]
    readonly_fields = ["project", "api_key", "usage_count", "created_at", "last_used_at"]
    change_form_before_template = "templates_app/form_head.html"
    change_form_after_template = "templates_app/form_tail.html"

    @admin.display(description="global", boolean=True)
    def is_shared(self, template: ConversationTemplate) -> bool:
        return template.is_global

    def has_delete_permission(self, request, obj=None) -> bool:
        return False  # taken out of use by is_active: conversations name it

    def get_urls(self):
        view, name = self.admin_site.admin_view, "templates_app_conversationtemplate"
        return [
            path("preview/", view(self.preview), name=f"{name}_preview"),
            path(
                "<uuid:template_id>/versions/<int:number>/",
                view(self.version),
                name=f"{name}_version",
            ),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        may_save = self._may_save(request, obj)
        stored = obj and ConversationTemplate.objects.get(pk=obj.pk)
        versions = (
            TemplateVersion.objects.filter(template=obj) if obj else TemplateVersion.objects.none()
        )
        context |= {
            "loaded_at": stored.updated_at.isoformat() if stored else "",
            "conflict": getattr(context["adminform"].form, "conflict", ""),
            "versions": versions[:_MAX_LISTED],
            "preview_url": reverse("admin:templates_app_conversationtemplate_preview")
            if may_save
            else "",
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _may_save(self, request, obj=None) -> bool:
        return self.has_change_permission(request, obj) or self.has_add_permission(request)

    def save_model(self, request, obj, form, change) -> None:
        if not change:
            obj.updated_at = timezone.now()
            super().save_model(request, obj, form, change)
            return
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        services.change(obj, changes, author=person_as_author(request.user.pk))
        obj.refresh_from_db()

    def preview(self, request):
        """Answer the form as it stands, filled with values. Nothing is stored."""
        if not self._may_save(request):
            raise PermissionDenied
        if request.method != "POST":
            raise Http404
        form = TemplateForm(request.POST)
        form.is_valid()
        parts = {name: form.cleaned_data[name] for name in VERSIONED if name in form.cleaned_data}
        template = ConversationTemplate(**{n: v for n, v in parts.items() if v is not None})
        context = {"errors": [text for texts in form.errors.values() for text in texts]}
        values = {name: request.POST.get(f"value:{name}", "") for name in template.variables}
        values = {name: value.replace("\r\n", "\n") for name, value in values.items()}
        if form.is_valid():
            try:
                context["preview"] = shown = preview(template, values)
                context["messages"] = [
                    {"role": message["role"], "text": content_text(message)}
                    for message in shown.rendered["messages"]
                ]
            except rendering.TooLong:
                context["errors"] = ["The filled template would be too long."]
        context["variables"] = [
            (name, values[name], default) for name, default in template.variables.items()
        ]
        return TemplateResponse(request, "templates_app/preview.html", context)

    def version(self, request, template_id, number: int):
        """Show an earlier version, and make it the template again at a POST."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        template = get_object_or_404(ConversationTemplate, id=template_id)
        version = get_object_or_404(TemplateVersion, template=template, number=number)
        may_change = self.has_change_permission(request, template)
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            with transaction.atomic():
                services.change(template, version.members, author=person_as_author(request.user.pk))
                self.log_change(request, template, f"Version {number} again.")
            messages.success(request, f"The template is version {number} again.")
            return redirect("admin:templates_app_conversationtemplate_change", template.id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{template.name}, version {number}",
            "template": template,
            "version": version,
            "text": as_text(version.members),
            "difference": difference(version.members, template.members()),
            "may_change": may_change,
        }
        return TemplateResponse(request, "templates_app/version.html", context)
