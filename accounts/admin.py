from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.admin import TabularInline
from unfold.decorators import action
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import (
    account_deletion,
    address_proofs,
    admin_entry,  # noqa: F401 - puts its views into the admin's site
    audit,
    email_addresses,
    keys,
    log_quotas,
    memberships,
    password_changes,
    projects,
    requested_mails,
)
from accounts.audited_admin import AuditedDeletion
from accounts.models import (
    ApiKey,
    AuditEvent,
    Identity,
    Membership,
    Project,
    Scope,
    Tier,
    User,
)
from accounts.once_admin import OnceAdmin, form_id
from core.admin import ModelAdmin, RecordAdmin, pretty_json
from core.compression import keep_uncompressed
from core.number_formats import counted


class ApiKeyInline(TabularInline):
    model = ApiKey
    extra = 0
    fields = ["name", "hint", "state", "created_at", "expires_at"]
    readonly_fields = fields
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request, obj=None) -> bool:
        return False


class KeepsOwners(ModelAdmin):
    """Shows the database's refusal to leave a project without an owner as a message."""

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        return self._explained(
            request,
            lambda: super(KeepsOwners, self).changeform_view(
                request, object_id, form_url, extra_context
            ),
        )

    def delete_view(self, request, object_id, extra_context=None):
        return self._explained(
            request,
            lambda: super(KeepsOwners, self).delete_view(request, object_id, extra_context),
        )

    def changelist_view(self, request, extra_context=None):
        return self._explained(
            request, lambda: super(KeepsOwners, self).changelist_view(request, extra_context)
        )

    def _explained(self, request, show):
        try:
            with memberships.keeping_an_owner():
                return show()
        except memberships.LastOwner as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)


class MembershipForm(forms.ModelForm):
    """A membership is of one person in one project for good; its role may change."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            for name in {"user", "project"} & self.fields.keys():
                self.fields[name].disabled = True


class MembershipInline(TabularInline):
    model = Membership
    form = MembershipForm
    extra = 0
    fields = ["user", "project", "role", "created_at"]
    readonly_fields = ["created_at"]
    autocomplete_fields = ["user", "project"]


@admin.register(Project)
class ProjectAdmin(KeepsOwners):
    list_display = ["name", "id", "tier", "created_at", "archived_at"]
    list_select_related = ["tier"]
    list_filter = ["tier"]
    search_fields = ["name", "id"]
    readonly_fields = ["id", "logs_this_month", "created_at", "archived_at"]
    inlines = [MembershipInline, ApiKeyInline]
    actions = ["archive"]
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
    def logs_this_month(self, project: Project) -> int:
        return log_quotas.arrived(project.id, timezone.now())

    def has_delete_permission(self, request, obj=None) -> bool:
        # Its rows live in many tables without a foreign key to it: `manage.py deleteproject`.
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
        _save_inline(request, formset)

    @admin.action(description="Archive the selected projects", permissions=["change"])
    def archive(self, request, queryset) -> None:
        origin = audit.of_request(request)
        archived = sum(projects.archive_project(project.id, origin) for project in queryset)
        messages.success(request, f"{counted(archived, 'project')} archived; keys are refused.")


class ApiKeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = ApiKey
        fields = ["project", "name", "scopes", "expires_at"]

    def clean_project(self) -> Project:
        projects.check_active(self.cleaned_data["project"])
        return self.cleaned_data["project"]

    def clean_scopes(self) -> list[str]:
        """A new key without a choice may do everything, as one of `createkey`."""
        chosen = self.cleaned_data["scopes"]
        return [Scope.ALL.value] if not chosen and self.instance._state.adding else chosen


_LIMITS = ("requests_per_minute", "logs_per_month", "retention_days")


@admin.register(Tier)
class TierAdmin(AuditedDeletion):
    list_display = ["name", "requests_per_minute", "logs_per_month", "retention_days"]
    search_fields = ["name"]

    def subject(self, row: Tier) -> dict:
        return {"name": row.name}

    def save_model(self, request, obj, form, change) -> None:
        old = Tier.objects.filter(pk=obj.pk).values(*_LIMITS).first()
        super().save_model(request, obj, form, change)
        new = {name: getattr(obj, name) for name in _LIMITS}
        self.record(request, "change", obj, old=old, new=new)

    def has_delete_permission(self, request, obj=None) -> bool:
        # A project's tier is protected by the database; a default tier by nothing but this.
        is_used = obj is not None and (obj.name == settings.DEFAULT_TIER or obj.projects.exists())
        return not is_used and super().has_delete_permission(request, obj)


@admin.register(ApiKey)
class ApiKeyAdmin(OnceAdmin):
    # The last day and the spend of keys by their ids; bound in llmring_site/urls.py.
    usage_of_keys: Callable[[list[UUID]], dict[UUID, tuple[str, str]]] | None = None

    form = ApiKeyForm
    list_display = [
        "name",
        "hint",
        "project",
        "state",
        "scopes",
        "created_at",
        "expires_at",
        "last_used",
        "spend",
    ]
    list_select_related = ["project", "use"]
    search_fields = ["name", "hint", "id", "project__name"]
    autocomplete_fields = ["project"]
    fields = [
        "project",
        "name",
        "scopes",
        "expires_at",
        "hint",
        "state",
        "last_used",
        "spend",
        "created_at",
        "created_by",
        "revoked_at",
        "previous_expires_at",
        "id",
    ]
    readonly_fields = [
        *("hint", "state", "last_used", "spend", "created_at", "created_by", "revoked_at"),
        *("previous_expires_at", "id"),
    ]
    actions = ["revoke"]

    def get_fields(self, request, obj=None):
        return self.fields if obj else ["project", "name", "scopes", "expires_at"]

    def get_changeform_initial_data(self, request):
        return {"scopes": [Scope.ALL], **super().get_changeform_initial_data(request)}

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
    def last_used(self, key: ApiKey) -> datetime | str:
        use = getattr(key, "use", None)
        return use.last_used_at if use else key.usage[0]

    @admin.display(description="spend (USD)")
    def spend(self, key: ApiKey) -> str:
        return key.usage[1]

    def has_delete_permission(self, request, obj=None) -> bool:
        # Rows name the key that wrote them: a key is revoked, not deleted.
        return False

    def save_model(self, request, obj, form, change) -> None:
        columns = {"scopes": obj.scopes, "name": obj.name}
        if change:
            super().save_model(request, obj, form, change)
        else:
            row, request.new_key = ApiKey.issue(
                obj.project,
                expires_at=obj.expires_at,
                created_by=request.user,
                id=form_id(request),
                **columns,
            )
            obj.__dict__.update(row.__dict__)
        audit.record(
            "key.change" if change else "key.create",
            audit.of_request(request),
            project_id=obj.project_id,
            api_key_id=obj.id,
            **(_changes(form) if change else columns),
        )

    def response_add(self, request, obj, post_url_continue=None):
        """Show the key on the reply itself: messages travel in a cookie that anybody can read."""
        context = {
            **self.admin_site.each_context(request),
            "title": "A new API key",
            "may_view": self.has_view_permission(request),
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
        revoked = keys.revoke_keys(
            ApiKey.objects.filter(id__in=list(queryset.values_list("id", flat=True))),
            audit.of_request(request),
            reason="in the admin",
        )
        messages.success(request, f"{counted(revoked, 'key')} revoked.")
        return None


def _changes(form: forms.ModelForm) -> dict:
    """Return what a form changes of a key, as the API records it."""
    values = {"old": form.initial, "new": form.cleaned_data}
    return {
        when: {name: _plain(of[name]) for name in form.changed_data} for when, of in values.items()
    }


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


class IdentityInline(TabularInline):
    model = Identity
    extra = 0
    fields = ["provider", "subject", "created_at"]
    readonly_fields = fields

    def has_add_permission(self, request, obj=None) -> bool:
        return False


def _save_inline(request, formset) -> None:
    """Save an inline; each membership and identity that it changes is recorded."""
    old_roles = {form.instance.pk: form.initial.get("role") for form in formset.initial_forms}
    formset.save()
    if formset.model is Membership:
        _record_memberships(audit.of_request(request), formset, old_roles)
    elif formset.model is Identity:
        for row in formset.deleted_objects:
            origin = audit.of_request(request)
            audit.record("identity.unlink", origin, user_id=row.user_id, provider=row.provider)


def _record_memberships(origin: audit.Origin, formset, old_roles: dict) -> None:
    changes = [("member.add", row, {"new": row.role}) for row in formset.new_objects]
    changes += [
        ("member.role", row, {"old": old_roles[row.pk], "new": row.role})
        for row, _ in formset.changed_objects
    ]
    changes += [("member.remove", row, {"role": row.role}) for row in formset.deleted_objects]
    for change, row, details in changes:
        audit.record(change, origin, project_id=row.project_id, user_id=row.user_id, **details)
    keys.revoke_excess_login_keys(*{row.user for _, row, _ in changes}, origin=origin)


admin.site.unregister(Group)


_FLAGS = ("is_active", "is_staff", "is_superuser", "email", "username")


def _access(user: User | None) -> dict:
    """Return what a person's access to the server is made of, as it is stored."""
    if user is None:
        return {}
    flags = {name: getattr(user, name) for name in _FLAGS}
    groups, permissions = user.groups.all(), user.user_permissions.all()
    return {**flags, **_lists({"groups": groups, "user_permissions": permissions})}


def _lists(chosen: dict) -> dict:
    """Return those of the chosen rows that give access, by their names."""
    lists = {}
    if "groups" in chosen:
        lists["groups"] = sorted(group.name for group in chosen["groups"])
    for name in {"permissions", "user_permissions"} & chosen.keys():
        rows = chosen[name].select_related("content_type")
        lists[name] = sorted(f"{row.content_type.app_label}.{row.codename}" for row in rows)
    return lists


class PersonForm(UserChangeForm):
    def clean_email(self) -> str:
        return self.cleaned_data["email"].strip()

    def clean(self):
        cleaned = super().clean()
        other = User.objects.with_email(cleaned.get("email", ""))
        if other is not None and other.pk != self.instance.pk:
            raise ValidationError({"email": "Another person has this e-mail address."})
        return cleaned


@admin.register(User)
class UserAdmin(DjangoUserAdmin, KeepsOwners):
    inlines = [MembershipInline, IdentityInline]
    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def save_model(self, request, obj, form, change) -> None:
        old = _access(User.objects.filter(pk=obj.pk).first())
        super().save_model(request, obj, form, change)
        keys.revoke_excess_login_keys(obj, origin=audit.of_request(request))
        # Groups and permissions are saved after this, from the form.
        now = {name: getattr(obj, name) for name in _FLAGS} | _lists(form.cleaned_data)
        new = {name: value for name, value in now.items() if value != old.get(name)}
        audit.record(
            "person.change" if change else "person.create",
            audit.of_request(request),
            user_id=obj.pk,
            old={name: old[name] for name in new if name in old},
            new=new,
            changed=form.changed_data,
        )
        if change and email_addresses.key(obj.email) != email_addresses.key(old["email"]):
            self._ask_for_proof(request, obj)

    def _ask_for_proof(self, request, user: User) -> None:
        """Have a new address proven: staff may mistype it, and its mail goes to a stranger."""
        address_proofs.forget(user, but=request.session.session_key)
        user.refresh_from_db(fields=["email_key"])  # the database's own column
        requested_mails.send_verification(user)

    def save_formset(self, request, form, formset, change) -> None:
        _save_inline(request, formset)

    def user_change_password(self, request, id, form_url=""):
        user = self.get_object(request, unquote(id))
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            if user is not None and user.password != self._stored_password(user):
                password_changes.finish(request, user)
        return response

    def _stored_password(self, user: User) -> str:
        return User.objects.values_list("password", flat=True).get(pk=user.pk)

    def delete_model(self, request, obj) -> None:
        account_deletion.delete_account(obj, audit.of_request(request))

    def delete_queryset(self, request, queryset) -> None:
        origin = audit.of_request(request)
        # All or none: the action's page asked about all of them.
        with memberships.keeping_an_owner():
            for user in queryset:
                account_deletion.delete_account(user, origin)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, AuditedDeletion):
    def subject(self, row: Group) -> dict:
        return {"name": row.name}

    def save_model(self, request, obj, form, change) -> None:
        old = Group.objects.filter(pk=obj.pk).first()
        before = old and {"name": old.name, **_lists({"permissions": old.permissions.all()})}
        super().save_model(request, obj, form, change)
        after = {"name": obj.name, **_lists(form.cleaned_data)}
        self.record(request, "change" if change else "create", obj, old=before, new=after)


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
