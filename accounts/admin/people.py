from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import transaction
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit, login_keys
from accounts.admin.access import FLAGS, access, names_of_access
from accounts.admin.memberships import (
    IdentityInline,
    KeepsOwners,
    MembershipInline,
    save_inline,
)
from accounts.models import User
from accounts.people import (
    account_deletion,
    address_proofs,
    email_addresses,
    password_changes,
    requested_mails,
)

_GIVING_ACCESS = ("is_staff", "is_superuser", "groups", "user_permissions")


def _may_manage(staff: User, user: User | None) -> bool:
    """Return whether `staff` may manage a person. Only superusers may manage other staff.

    Setting the password or address of somebody with more permissions would give access to these.
    """
    return staff.is_superuser or user is None or not (user.is_staff or user.is_superuser)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, KeepsOwners):
    inlines = [MembershipInline, IdentityInline]
    warn_unsaved_form = True  # the pages of the inlines are links
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def has_add_permission(self, request) -> bool:
        # Django's view requires both permissions, the links to it only one.
        return super().has_add_permission(request) and self.has_change_permission(request)

    def has_change_permission(self, request, obj=None) -> bool:
        return _may_manage(request.user, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request, obj=None) -> bool:
        return _may_manage(request.user, obj) and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request, obj=None):
        own = super().get_readonly_fields(request, obj)
        return own if request.user.is_superuser else [*own, *_GIVING_ACCESS]

    def save_model(self, request, obj, form, change) -> None:
        old = access(User.objects.filter(pk=obj.pk).first())
        super().save_model(request, obj, form, change)
        login_keys.revoke_excess(obj, origin=audit.of_request(request))
        # Groups and permissions are saved later, from the form.
        now = {name: getattr(obj, name) for name in FLAGS} | names_of_access(form.cleaned_data)
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
        """Ask for a proof of the new address: if staff mistyped it, it is a stranger's."""
        address_proofs.forget(user, but=request.session.session_key)
        user.refresh_from_db(fields=["email_key"])  # the database's own column
        requested_mails.send_verification(user)

    def save_formset(self, request, form, formset, change) -> None:
        save_inline(request, formset)

    def user_change_password(self, request, id, form_url=""):
        with transaction.atomic():
            user = self.get_object(request, unquote(id))
            response = super().user_change_password(request, id, form_url)
            if user is not None and user.password != self._stored_password(user):
                password_changes.finish(request, user)
        return response

    def _stored_password(self, user: User) -> str:
        return User.objects.values_list("password", flat=True).get(pk=user.pk)

    def delete_model(self, request, obj) -> None:
        account_deletion.delete_accounts([obj.pk], audit.of_request(request))

    def delete_queryset(self, request, queryset) -> None:
        # All or none: the confirmation page showed all of them.
        ids = list(queryset.values_list("pk", flat=True))
        account_deletion.delete_accounts(ids, audit.of_request(request))
