"""Base classes of the admin that record changes in the audit log."""

from django.db import transaction

from accounts import audit
from core.admin import ModelAdmin


class AuditedDeletion(ModelAdmin):
    """Records each deletion in its transaction. `record` is for other changes."""

    def subject(self, row) -> dict:
        """Return the columns and details of an audit event that identify the row."""
        raise NotImplementedError

    def record(self, request, verb: str, row, **details) -> None:
        action = f"{self.opts.model_name}.{verb}"
        audit.record(action, audit.of_request(request), **self.subject(row), **details)

    @transaction.atomic
    def delete_model(self, request, obj) -> None:
        self.record(request, "delete", obj)
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request, queryset) -> None:
        for row in queryset:
            self.record(request, "delete", row)
        super().delete_queryset(request, queryset)


class AuditedAdmin(AuditedDeletion):
    """Records each addition, change and deletion in its transaction."""

    def save_model(self, request, obj, form, change) -> None:
        super().save_model(request, obj, form, change)
        self.record(request, "update" if change else "create", obj, fields=form.changed_data)
