from django.contrib import admin
from unfold.contrib.filters.admin import FieldTextFilter

from accounts.models import Project
from core.admin import RecordAdmin, pretty_json
from usage.models import UsageLog


@admin.register(UsageLog)
class UsageLogAdmin(RecordAdmin):
    list_display = [
        "created_at",
        "provider",
        "model",
        "alias",
        "origin",
        "input_tokens",
        "output_tokens",
        "shown_cost",
        "cost_source",
    ]
    list_filter = [
        "cost_source",
        ("provider", FieldTextFilter),
        ("model", FieldTextFilter),
        ("alias", FieldTextFilter),
        ("origin", FieldTextFilter),
    ]
    list_filter_submit = True
    search_ids = ("id", "project_id", "conversation_id", "api_key_id")
    search_in_projects = ("conversation_id", "event_id", "api_key_id", "id_at_origin")
    projects = Project.objects.all()
    search_texts = ("event_id", "id_at_origin")
    search_help_text = "An id of a log, project, key or conversation; an id at its origin."
    exclude = ["metadata", "fingerprint", "cost"]
    readonly_fields = ["shown_cost", "shown_metadata"]

    @admin.display(description="cost (USD)", ordering="cost")
    def shown_cost(self, log: UsageLog) -> str:
        return "unpriced" if log.cost is None else f"{log.cost.normalize():f}"

    @admin.display(description="metadata")
    def shown_metadata(self, log: UsageLog) -> str:
        return pretty_json(log.metadata)
