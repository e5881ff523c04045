from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import log_quotas
from accounts.models import ApiKey, AuditEvent, Membership, Project, Tier, User
from core.admin import ModelAdmin, RecordAdmin, pretty_json
from core.compression import keep_uncompressed


class ApiKeyInline(TabularInline):
    model = ApiKey
    extra = 0
    fields = ["name", "hint", "state", "created_at", "expires_at"]
    readonly_fields = fields
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request, obj=None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(ModelAdmin):
    list_display = ["name", "id", "tier", "created_at"]
    list_select_related = ["tier"]
    list_filter = ["tier"]
    search_fields = ["name", "id"]
    readonly_fields = ["id", "logs_this_month", "created_at"]
    inlines = [ApiKeyInline]

    @admin.display(description="logs this month")
    def logs_this_month(self, project: Project) -> int:
        return log_quotas.arrived(project.id, timezone.now())

    def has_delete_permission(self, request, obj=None) -> bool:
        # Its rows live in many tables without a foreign key to it: nothing may orphan them.
        return False


@admin.register(Tier)
class TierAdmin(ModelAdmin):
    list_display = ["name", "requests_per_minute", "logs_per_month", "retention_days"]
    search_fields = ["name"]

    def has_delete_permission(self, request, obj=None) -> bool:
        # A project's tier is protected by the database; a default tier by nothing but this.
        is_used = obj is not None and (obj.name == settings.DEFAULT_TIER or obj.projects.exists())
        return not is_used and super().has_delete_permission(request, obj)


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    list_display = ["name", "hint", "project", "state", "created_at", "expires_at"]
    list_select_related = ["project"]
    search_fields = ["name", "hint", "id", "project__name"]
    autocomplete_fields = ["project"]
    fields = ["project", "name", "expires_at", "hint", "state", "created_at", "revoked_at", "id"]
    readonly_fields = ["hint", "state", "created_at", "revoked_at", "id"]
    actions = ["revoke"]

    def get_readonly_fields(self, request, obj=None):
        return [*self.readonly_fields, *(["project"] if obj else [])]

    def has_delete_permission(self, request, obj=None) -> bool:
        # Rows name the key that wrote them: a key is revoked, not deleted.
        return False

    def save_model(self, request, obj, form, change) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        row, request.new_key = ApiKey.issue(obj.project, name=obj.name, expires_at=obj.expires_at)
        obj.__dict__.update(row.__dict__)

    def response_add(self, request, obj, post_url_continue=None):
        """Show the key on the reply itself: messages travel in a cookie that anybody can read."""
        context = {
            **self.admin_site.each_context(request),
            "title": "A new API key",
            "key": obj,
            "text": request.new_key,
        }
        response = TemplateResponse(request, "accounts/new_key.html", context)
        keep_uncompressed(response)
        return response

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request, queryset) -> None:
        messages.success(request, f"{queryset.revoke()} keys revoked.")


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    fields = ["project", "role", "created_at"]
    readonly_fields = ["created_at"]
    autocomplete_fields = ["project"]


admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    inlines = [MembershipInline]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(AuditEvent)
class AuditEventAdmin(RecordAdmin):
    date_hierarchy = "at"
    list_display = ["at", "action", "outcome", "actor", "client_ip", "project_id", "reason"]
    list_filter = ["outcome"]
    search_ids = ("id", "project_id")
    search_texts = ("action", "actor", "request_id")
    exclude = ["details"]
    readonly_fields = ["shown_details"]

    @admin.display(description="details")
    def shown_details(self, event: AuditEvent) -> str:
        return pretty_json(event.details)
