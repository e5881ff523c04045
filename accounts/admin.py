from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from unfold.admin import TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit, keys, known_browsers, memberships, projects
from accounts.models import ApiKey, AuditEvent, Identity, Membership, Project, Scope, User
from core.admin import ModelAdmin, RecordAdmin, pretty_json


class ApiKeyInline(TabularInline):
    model = ApiKey
    extra = 0
    fields = ["name", "hint", "state", "created_at", "expires_at"]
    readonly_fields = fields
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request, obj=None) -> bool:
        return False


def _login(request, extra_context=None):
    """Log in to the admin; recorded, and the browser is known from then on, as elsewhere."""
    response = _plain_login(request, extra_context)
    if (refusal := getattr(request, "refusal", None)) is not None:
        response.status_code = refusal.status_code
        for name, value in refusal.headers.items():
            response[name] = value
    if request.method == "POST" and request.user.is_authenticated and response.status_code == 302:
        origin = audit.of_request(request, actor=f"user:{request.user.pk}")
        audit.record("login.admin", origin, user_id=request.user.pk)
        known_browsers.remember(request, response, request.user)
    return response


_plain_login, admin.site.login = admin.site.login, _login


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
            with transaction.atomic():
                return show()
        except IntegrityError as error:
            if not memberships.is_about_last_owner(error):
                raise
            messages.error(request, str(memberships.LastOwner()))
            return HttpResponseRedirect(request.path)


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    fields = ["user", "project", "role", "created_at"]
    readonly_fields = ["created_at"]
    autocomplete_fields = ["user", "project"]


@admin.register(Project)
class ProjectAdmin(KeepsOwners):
    list_display = ["name", "id", "created_at", "archived_at"]
    search_fields = ["name", "id"]
    readonly_fields = ["id", "created_at", "archived_at"]
    inlines = [MembershipInline, ApiKeyInline]
    actions = ["archive"]

    def has_delete_permission(self, request, obj=None) -> bool:
        # Its rows live in many tables without a foreign key to it: `manage.py deleteproject`.
        return False

    def save_formset(self, request, form, formset, change) -> None:
        _save_memberships(request, formset)

    @admin.action(description="Archive the selected projects", permissions=["change"])
    def archive(self, request, queryset) -> None:
        origin = audit.of_request(request)
        archived = sum(projects.archive_project(project.id, origin) for project in queryset)
        messages.success(request, f"{archived} projects archived: their keys are refused.")


class ApiKeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = ApiKey
        fields = ["project", "name", "scopes", "expires_at"]

    def clean_scopes(self) -> list[str]:
        """A new key without a choice may do everything, as one of `createkey`."""
        chosen = self.cleaned_data["scopes"]
        return [Scope.ALL.value] if not chosen and self.instance._state.adding else chosen


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    form = ApiKeyForm
    list_display = ["name", "hint", "project", "state", "scopes", "last_used", "expires_at"]
    list_select_related = ["project", "use"]
    search_fields = ["name", "hint", "id", "project__name"]
    autocomplete_fields = ["project"]
    readonly_fields = [
        *("hint", "state", "last_used", "created_at", "created_by", "revoked_at"),
        *("previous_expires_at", "id"),
    ]
    fields = ["project", "name", "scopes", "expires_at", *readonly_fields]
    actions = ["revoke"]

    def get_changeform_initial_data(self, request):
        return {"scopes": [Scope.ALL], **super().get_changeform_initial_data(request)}

    @admin.display(description="last used", ordering="use__last_used_at")
    def last_used(self, key: ApiKey):
        use = getattr(key, "use", None)
        return use and use.last_used_at

    def get_readonly_fields(self, request, obj=None):
        return [*self.readonly_fields, *(["project"] if obj else [])]

    def has_delete_permission(self, request, obj=None) -> bool:
        # Rows name the key that wrote them: a key is revoked, not deleted.
        return False

    def save_model(self, request, obj, form, change) -> None:
        columns = {"scopes": obj.scopes, "name": obj.name}
        if change:
            super().save_model(request, obj, form, change)
        else:
            row, request.new_key = ApiKey.issue(
                obj.project, expires_at=obj.expires_at, created_by=request.user, **columns
            )
            obj.__dict__.update(row.__dict__)
        audit.record(
            "key.change" if change else "key.create",
            audit.of_request(request),
            project_id=obj.project_id,
            api_key_id=obj.id,
            changed=form.changed_data,
            **columns,
        )

    def response_add(self, request, obj, post_url_continue=None):
        """Show the key on the reply itself: messages travel in a cookie that anybody can read."""
        context = {
            **self.admin_site.each_context(request),
            "title": "A new API key",
            "key": obj,
            "text": request.new_key,
        }
        response = TemplateResponse(request, "accounts/new_key.html", context)
        add_never_cache_headers(response)
        return response

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request, queryset) -> None:
        revoked = keys.revoke_keys(
            ApiKey.objects.filter(id__in=list(queryset.values_list("id", flat=True))),
            audit.of_request(request),
            reason="in the admin",
        )
        messages.success(request, f"{revoked} keys revoked.")


class IdentityInline(TabularInline):
    model = Identity
    extra = 0
    fields = ["provider", "subject", "created_at"]
    readonly_fields = fields

    def has_add_permission(self, request, obj=None) -> bool:
        return False


def _save_memberships(request, formset) -> None:
    """Save an inline; each membership that it changes is recorded."""
    formset.save()
    if formset.model is not Membership:
        return
    origin = audit.of_request(request)
    changes = [("member.add", row) for row in formset.new_objects]
    changes += [("member.role", row) for row, _ in formset.changed_objects]
    changes += [("member.remove", row) for row in formset.deleted_objects]
    for action, row in changes:
        audit.record(action, origin, project_id=row.project_id, user_id=row.user_id, new=row.role)


admin.site.unregister(Group)


# What changes a person's access to the server, beside groups and permissions.
_FLAGS = ("is_active", "is_staff", "is_superuser", "email", "username")


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
        old = User.objects.filter(pk=obj.pk).values(*_FLAGS).first() or {}
        super().save_model(request, obj, form, change)
        new = {name: getattr(obj, name) for name in _FLAGS if getattr(obj, name) != old.get(name)}
        audit.record(
            "person.change" if change else "person.create",
            audit.of_request(request),
            user_id=obj.pk,
            old={name: old[name] for name in new if name in old},
            new=new,
            changed=form.changed_data,
        )

    def save_formset(self, request, form, formset, change) -> None:
        _save_memberships(request, formset)


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
