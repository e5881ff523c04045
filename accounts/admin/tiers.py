from django.conf import settings
from django.contrib import admin

from accounts.admin.audited import AuditedDeletion
from accounts.models import Tier

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
        # The database protects the tier of a project, but not the default tier.
        is_used = obj is not None and (obj.name == settings.DEFAULT_TIER or obj.projects.exists())
        return not is_used and super().has_delete_permission(request, obj)
