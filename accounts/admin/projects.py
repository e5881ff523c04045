from django.contrib import admin
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.decorators import action

from accounts import audit, projects
from accounts.admin.memberships import KeepsOwners, MembershipInline, save_inline
from accounts.admin.paged_inline import PagedInline
from accounts.limits import log_quotas
from accounts.models import ApiKey, Project
from core.admin_display import row_link
from core.confirmed_actions import ConfirmedActions
from core.number_formats import count


class ApiKeyInline(PagedInline):
    model = ApiKey
    ordering = ["-id"]
    fields = ["page", "hint", "state", "created_at", "expires_at"]
    readonly_fields = fields
    can_delete = False

    def has_add_permission(self, request, obj=None) -> bool:
        return False

    @admin.display(description="name")
    def page(self, key: ApiKey) -> str:
        return row_link("accounts.apikey", key.pk, key)


@admin.register(Project)
class ProjectAdmin(ConfirmedActions, KeepsOwners):
    list_display = ["name", "id", "tier", "created_at", "archived_at"]
    list_select_related = ["tier"]
    list_filter = ["tier", ("archived_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "id"]
    readonly_fields = ["id", "logs_this_month", "created_at", "archived_at"]
    inlines = [MembershipInline, ApiKeyInline]
    warn_unsaved_form = True  # the pages of the inlines are links
    actions = ["archive", "restore"]
    actions_detail = ["new_key"]

    def has_add_key_permission(self, request, object_id=None) -> bool:
        project = object_id and self.get_object(request, object_id)
        is_archived = bool(project and project.archived_at)
        return request.user.has_perm("accounts.add_apikey") and not is_archived

    @action(description="New key", url_path="new-key", permissions=["add_key"])
    def new_key(self, request, object_id):
        query = urlencode({"project": object_id})
        return redirect(f"{reverse('admin:accounts_apikey_add')}?{query}")

    @admin.display(description="logs this month")
    def logs_this_month(self, project: Project) -> str:
        if project.tier_id is None:
            return "not counted without a tier"
        return count(log_quotas.arrived(project.id, timezone.now()))

    def has_delete_permission(self, request, obj=None) -> bool:
        # Most of its rows have no foreign key to it; `manage.py deleteproject` deletes them.
        return False

    def save_model(self, request, obj, form, change) -> None:
        old = Project.objects.filter(pk=obj.pk).first()
        super().save_model(request, obj, form, change)
        origin = audit.of_request(request)
        if old is None:
            audit.record("project.create", origin, project_id=obj.pk, name=obj.name)
        elif old.name != obj.name:
            audit.record("project.rename", origin, project_id=obj.pk, old=old.name, new=obj.name)
        if (tier := projects.tier_name(obj)) != (old_tier := projects.tier_name(old)):
            audit.record("project.tier", origin, project_id=obj.pk, old=old_tier, new=tier)

    def save_formset(self, request, form, formset, change) -> None:
        save_inline(request, formset)

    @admin.action(description="Archive the selected projects", permissions=["change"])
    def archive(self, request, queryset):
        origin = audit.of_request(request)
        return self.confirmed(
            request,
            queryset.filter(archived_at=None),
            question="Their keys and tokens are refused within a second. Their data stays:",
            action=lambda project: projects.archive_project(project.id, origin),
            noun="project",
            done="archived; keys are refused",
        )

    @admin.action(description="Bring the selected projects back", permissions=["change"])
    def restore(self, request, queryset):
        origin = audit.of_request(request)
        return self.confirmed(
            request,
            queryset.exclude(archived_at=None),
            question="Their keys and tokens work again, unless they were revoked or expired:",
            action=lambda project: projects.restore_project(project.id, origin),
            noun="project",
            done="brought back",
        )
