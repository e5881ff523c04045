from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.admin import TabularInline
from unfold.decorators import action
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import log_quotas
from accounts.models import ApiKey, AuditEvent, Membership, Project, Tier, User
from core.admin import ModelAdmin, RecordAdmin, pretty_json
from core.compression import keep_uncompressed
from core.ids import uuid7


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
    actions_detail = ["new_key"]

    def has_add_key_permission(self, request, object_id=None) -> bool:
        return request.user.has_perm("accounts.add_apikey")

    @action(description="New key", url_path="new-key", permissions=["add_key"])
    def new_key(self, request, object_id):
        query = urlencode({"project": object_id})
        return redirect(f"{reverse('admin:accounts_apikey_add')}?{query}")

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
    # The last day and the spend of keys by their ids; bound in llmring_site/urls.py.
    usage_of_keys: Callable[[list[UUID]], dict[UUID, tuple[str, str]]] | None = None

    list_display = [
        "name",
        "hint",
        "project",
        "state",
        "created_at",
        "expires_at",
        "last_used",
        "spend",
    ]
    list_select_related = ["project"]
    search_fields = ["name", "hint", "id", "project__name"]
    autocomplete_fields = ["project"]
    fields = [
        "project",
        "name",
        "expires_at",
        "hint",
        "state",
        "last_used",
        "spend",
        "created_at",
        "revoked_at",
        "id",
    ]
    readonly_fields = ["hint", "state", "last_used", "spend", "created_at", "revoked_at", "id"]
    actions = ["revoke"]
    change_form_before_template = "accounts/once.html"

    def get_fields(self, request, obj=None):
        return self.fields if obj else ["project", "name", "expires_at"]

    def get_readonly_fields(self, request, obj=None):
        return [*self.readonly_fields, *(["project"] if obj else [])]

    def get_changelist_instance(self, request):
        changes = super().get_changelist_instance(request)
        changes.result_list = self._with_usage(list(changes.result_list))
        return changes

    def get_object(self, request, object_id, from_field=None):
        key = super().get_object(request, object_id, from_field)
        return key and self._with_usage([key])[0]

    def _with_usage(self, keys: list[ApiKey]) -> list[ApiKey]:
        usage = self.usage_of_keys([key.id for key in keys]) if self.usage_of_keys else {}
        for key in keys:
            key.usage = usage.get(key.id, ("never", "-"))
        return keys

    @admin.display(description="last used (UTC)")
    def last_used(self, key: ApiKey) -> str:
        return key.usage[0]

    @admin.display(description="spend (USD)")
    def spend(self, key: ApiKey) -> str:
        return key.usage[1]

    def add_view(self, request, form_url="", extra_context=None):
        context = {**(extra_context or {}), "form_id": uuid7()}
        try:
            with transaction.atomic():
                return super().add_view(request, form_url, context)
        except IntegrityError:
            text = (
                "This form has made its key already. A key is shown once: if it is lost, revoke it."
            )
            messages.warning(request, text)
            return redirect("admin:accounts_apikey_changelist")

    def has_delete_permission(self, request, obj=None) -> bool:
        # Rows name the key that wrote them: a key is revoked, not deleted.
        return False

    def save_model(self, request, obj, form, change) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        # The form's own id: sent twice, it makes one key.
        form_id = _uuid(request.POST.get("form_id"))
        row, request.new_key = ApiKey.issue(
            obj.project, name=obj.name, expires_at=obj.expires_at, id=form_id
        )
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
    def revoke(self, request, queryset):
        """Ask first, then revoke for good."""
        if "confirmed" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": "Revoke keys?",
                "keys": self._with_usage(list(queryset.select_related("project"))),
                "opts": self.opts,
            }
            return TemplateResponse(request, "accounts/revoke_keys.html", context)
        for key in queryset:
            self.log_change(request, key, "Revoked.")
        messages.success(request, f"{queryset.revoke()} keys revoked.")
        return None


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


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
