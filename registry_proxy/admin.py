from django.contrib import admin

from core.admin import ReadOnlyAdmin, pretty_json
from registry_proxy.models import Refresh, Snapshot


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ["name", "version", "model_count", "change_count", "fetched_at", "short_digest"]
    date_hierarchy = "taken_on"
    search_ids = ()
    search_texts = ("version", "digest")
    search_help_text = "What upstream calls the state, or its whole digest."
    fields = [
        "name",
        "version",
        "digest",
        "fetched_at",
        "model_count",
        "change_count",
        "shown_changes",
    ]
    readonly_fields = ["name", "shown_changes"]

    def get_queryset(self, request):
        # A list of snapshots is a few lines; what changed in them may be megabytes.
        return super().get_queryset(request).defer("changes")

    @admin.display(ordering="id")
    def name(self, snapshot: Snapshot) -> str:
        return str(snapshot.dated)

    @admin.display(description="digest")
    def short_digest(self, snapshot: Snapshot) -> str:
        return snapshot.digest[:12]

    @admin.display(description="changes")
    def shown_changes(self, snapshot: Snapshot) -> str:
        return pretty_json(snapshot.changes)


@admin.register(Refresh)
class RefreshAdmin(ReadOnlyAdmin):
    list_display = ["attempted_at", "succeeded_at", "error"]
    search_ids = ()
    search_texts = ("error",)
