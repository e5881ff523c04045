from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group

from accounts.admin.access import names_of_access
from accounts.admin.audited import AuditedDeletion

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, AuditedDeletion):
    def subject(self, row: Group) -> dict:
        return {"name": row.name}

    def get_readonly_fields(self, request, obj=None):
        # Staff could give themselves any permission by changing their own group.
        own = super().get_readonly_fields(request, obj)
        return own if request.user.is_superuser else [*own, "permissions"]

    def save_model(self, request, obj, form, change) -> None:
        old = Group.objects.filter(pk=obj.pk).first()
        before = old and {
            "name": old.name,
            **names_of_access({"permissions": old.permissions.all()}),
        }
        super().save_model(request, obj, form, change)
        after = {**(before or {}), "name": obj.name, **names_of_access(form.cleaned_data)}
        self.record(request, "change" if change else "create", obj, old=before, new=after)
