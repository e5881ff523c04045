from django.contrib import admin

from accounts.admin.links import OwnerLinks
from accounts.models import AuditEvent, User
from core.admin import RecordAdmin
from core.admin_display import admin_link, pretty_json


@admin.register(AuditEvent)
class AuditEventAdmin(OwnerLinks, RecordAdmin):
    date_hierarchy = "at"
    list_display = ["at", "action", "outcome", "actor", "client_ip", "project", "reason"]
    list_filter = ["outcome"]
    search_ids = ("id", "project_id")
    search_texts = ("action", "actor", "request_id")
    exclude = ["user_id", "api_key_id", "project_id", "token_id", "details"]
    readonly_fields = ["project", "person", "api_key", "token", "shown_details"]

    @admin.display(description="person")
    def person(self, event: AuditEvent) -> str:
        """Return a link to the person that the event names; the id of a deleted one."""
        person = User.objects.filter(id=event.user_id).first()
        if person is None:
            return str(event.user_id or "-")
        return admin_link(event, "accounts.user", person.id, person)

    @admin.display(description="token")
    def token(self, event: AuditEvent) -> str:
        return admin_link(event, "gateway.token", event.token_id)

    @admin.display(description="details")
    def shown_details(self, event: AuditEvent) -> str:
        return pretty_json(event.details)
