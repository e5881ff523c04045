"""Memberships and identities, within the pages of a project and of a person."""

import re
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpResponseRedirect

from accounts import audit, locks, login_keys, memberships
from accounts.admin.paged_inline import PagedInline
from accounts.api_keys import is_id
from accounts.models import Identity, Membership
from core.admin import ModelAdmin
from core.admin_display import admin_link

_NAMED_PERSON = re.compile(r"memberships-\d+-user")


class KeepsOwners(ModelAdmin):
    """Shows a message if the database refuses to leave a project without an owner."""

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        show = super().changeform_view
        try:
            with memberships.keeping_an_owner():
                if request.method == "POST":
                    locks.people(_named_people(request))
                return show(request, object_id, form_url, extra_context)
        except memberships.LastOwner as error:
            request.form_refusal = str(error)
            return show(request, object_id, form_url, extra_context)  # with the input

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change, **kwargs)
        refusal = getattr(request, "form_refusal", None)
        return _refused(form, refusal) if refusal else form

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


def _named_people(request) -> set[UUID]:
    """Return the people in the form, to lock them: none may be deleted before it is saved."""
    fields = [name for name in request.POST if _NAMED_PERSON.fullmatch(name)]
    return {UUID(request.POST[name]) for name in fields if is_id(request.POST[name])}


def _refused(form: type[forms.ModelForm], refusal: str) -> type[forms.ModelForm]:
    """Return a subclass of the form that always has this error."""

    class Refused(form):
        def clean(self):
            self.add_error(None, refusal)
            return super().clean()

    return Refused


class ChosenRow(forms.Widget):
    """Shows a choice that cannot change. A select for each of many members is a lot of markup."""

    def __init__(self, membership: Membership, chosen: Model) -> None:
        super().__init__()
        self._membership, self._chosen = membership, chosen

    def render(self, name, value, attrs=None, renderer=None) -> str:
        """Return the row's name, as a link if the viewer may open it."""
        model = self._chosen._meta.label_lower
        return admin_link(self._membership, model, self._chosen.pk, self._chosen)


class MembershipForm(forms.ModelForm):
    """Person and project of a membership cannot change; its role can."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            for name in {"user", "project"} & self.fields.keys():
                field = self.fields[name]
                field.disabled = True
                field.widget = ChosenRow(self.instance, getattr(self.instance, name))

    def clean(self) -> dict:
        """Refuse a second membership, which a page that is out of date may contain.

        Django does not check a constraint with the foreign key of an inline.
        """
        data = super().clean()
        user, project = data.get("user"), data.get("project")
        if self.instance._state.adding and user and project:
            own = Membership.objects.filter(user_id=user.pk, project_id=project.pk)
            if own.exists():
                raise ValidationError("This person is a member of the project already.")
        return data


class MembershipInline(PagedInline):
    model = Membership
    form = MembershipForm
    ordering = ["user__email", "user__username", "project__name", "id"]
    fields = ["user", "project", "role", "created_at"]
    readonly_fields = ["created_at"]
    autocomplete_fields = ["user", "project"]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user", "project")


class IdentityInline(PagedInline):
    model = Identity
    ordering = ["provider", "subject"]
    fields = ["provider", "subject", "created_at"]
    readonly_fields = fields

    def has_add_permission(self, request, obj=None) -> bool:
        return False


def save_inline(request, formset) -> None:
    """Save an inline, and record each membership and identity that it changes."""
    if formset.model is Membership:
        locks.projects([form.instance.project_id for form in formset.initial_forms])
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
    login_keys.revoke_excess(*{row.user for _, row, _ in changes}, origin=origin)
