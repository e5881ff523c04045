from django.contrib import admin

from accounts.models import AuditEvent
from core.admin import RecordAdmin
from core.admin_display import pretty_json


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
