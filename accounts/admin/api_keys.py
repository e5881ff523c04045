from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts import audit, keys, projects
from accounts.admin.once import OnceAdmin, form_id
from accounts.admin.state_filter import KeyStateFilter
from accounts.models import ApiKey, Project, Scope
from core.compression import keep_uncompressed
from core.number_formats import counted, utc


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
        """Give a new key every scope if none is chosen, as `createkey` does."""
        chosen = self.cleaned_data["scopes"]
        if not chosen and not self.instance._state.adding:
            raise ValidationError("Choose at least one; a key is ended by revoking it.")
        return chosen or [Scope.ALL.value]

    def clean_expires_at(self) -> datetime | None:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and "expires_at" in self.changed_data and expires_at <= timezone.now():
            raise ValidationError("The time is past; a key is ended by revoking it.")
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(OnceAdmin):
    # The last day and the spend of keys, by their ids; bound in llmring_site/urls.py.
    usage_of_keys: Callable[[list[ApiKey]], dict[UUID, tuple[str, str]]] | None = None

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
    list_filter = [KeyStateFilter]
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
        "overlap_ends_at",
        "id",
    ]
    readonly_fields = [
        *("hint", "state", "last_used", "spend", "created_at", "created_by", "revoked_at"),
        *("overlap_ends_at", "id"),
    ]
    actions = ["revoke"]

    def get_fields(self, request, obj=None):
        return self.fields if obj else ["project", "name", "scopes", "expires_at"]

    def get_changeform_initial_data(self, request):
        return {"scopes": [Scope.ALL], **super().get_changeform_initial_data(request)}

    def get_readonly_fields(self, request, obj=None):
        # An expired or revoked key stays so: a later end would revive it.
        has_ended = obj is not None and obj.state in ("revoked", "expired")
        return [
            *self.readonly_fields,
            *(["project"] if obj else []),
            *(["scopes", "expires_at"] if has_ended else []),
        ]

    def get_changelist_instance(self, request):
        changes = super().get_changelist_instance(request)
        changes.result_list = self._with_usage(list(changes.result_list))
        return changes

    def get_object(self, request, object_id, from_field=None):
        key = super().get_object(request, object_id, from_field)
        return key and self._with_usage([key])[0]

    def _with_usage(self, keys: list[ApiKey]) -> list[ApiKey]:
        usage = self.usage_of_keys(keys) if self.usage_of_keys else {}
        for key in keys:
            key.usage = usage.get(key.id, ("never", "-"))
        return keys

    @admin.display(description="last used (UTC)")
    def last_used(self, key: ApiKey) -> str:
        use = getattr(key, "use", None)
        return utc(use.last_used_at) if use else key.usage[0]

    @admin.display(description="overlap ends at")
    def overlap_ends_at(self, key: ApiKey) -> str:
        return utc(key.overlap_ends_at)

    @admin.display(description="spend (USD)")
    def spend(self, key: ApiKey) -> str:
        return key.usage[1]

    def has_delete_permission(self, request, obj=None) -> bool:
        # Rows refer to the key that wrote them: keys are revoked instead.
        return False

    def save_model(self, request, obj, form, change) -> None:
        origin = audit.of_request(request)
        if change:
            # Not the columns that a concurrent rotation or revocation writes.
            obj.save(update_fields=form.changed_data)
            old = {name: form.initial[name] for name in form.changed_data}
            new = {name: form.cleaned_data[name] for name in form.changed_data}
            keys.record_change(obj, origin, old=old, new=new)
            return
        row, request.new_key = keys.issue_key(
            obj.project,
            origin,
            id=form_id(request),
            name=obj.name,
            scopes=obj.scopes,
            expires_at=obj.expires_at,
            created_by=request.user,
        )
        obj.__dict__.update(row.__dict__)

    def response_add(self, request, obj, post_url_continue=None):
        """Show the key in this response: messages would put it into a readable cookie."""
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
        with transaction.atomic():
            for key in queryset.filter(revoked_at=None):
                self.log_change(request, key, "Revoked.")
            revoked = keys.revoke_keys(
                ApiKey.objects.filter(id__in=list(queryset.values_list("id", flat=True))),
                audit.of_request(request),
                reason="in the admin",
            )
        messages.success(request, f"{counted(revoked, 'key')} revoked.")
        return None
