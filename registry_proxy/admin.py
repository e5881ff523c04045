from django.contrib import admin

from core.admin import ReadOnlyAdmin, pretty_json
from registry_proxy.models import Refresh, Snapshot


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = [
        "snapshot_name",
        "version",
        "model_count",
        "change_count",
        "fetched_at",
        "short_digest",
    ]
    date_hierarchy = "taken_on"
    search_ids = ()
    search_texts = ("version", "digest")
    search_help_text = "Upstream's version, or the full digest."
    fields = [
        "snapshot_name",
        "version",
        "digest",
        "fetched_at",
        "model_count",
        "change_count",
        "formatted_changes",
    ]
    readonly_fields = ["snapshot_name", "formatted_changes"]

    def get_queryset(self, request):
        # The list needs a few columns; the changes may be megabytes.
        return super().get_queryset(request).defer("changes")

    @admin.display(description="name", ordering="id")
    def snapshot_name(self, snapshot: Snapshot) -> str:
        return str(snapshot)

    @admin.display(description="digest")
    def short_digest(self, snapshot: Snapshot) -> str:
        return snapshot.digest[:12]

    @admin.display(description="changes")
    def formatted_changes(self, snapshot: Snapshot) -> str:
        return pretty_json(snapshot.changes)


@admin.register(Refresh)
class RefreshAdmin(ReadOnlyAdmin):
    list_display = ["attempted_at", "succeeded_at", "error"]
    search_ids = ()
    search_texts = ("error",)
