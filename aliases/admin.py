from django.contrib import admin
from unfold.contrib.filters.admin import FieldTextFilter

from accounts.admin.links import OwnerLinks
from aliases.models import AliasBinding
from core.admin import ReadOnlyAdmin
from core.admin_display import pretty_json


@admin.register(AliasBinding)
class AliasBindingAdmin(OwnerLinks, ReadOnlyAdmin):
    list_display = ["alias", "profile", "model", "project", "is_bound", "updated_at"]
    list_filter = [("profile", FieldTextFilter), ("deleted_at", admin.EmptyFieldListFilter)]
    list_filter_submit = True
    ordering = ["-id"]
    search_ids = ("project_id", "api_key_id")
    search_texts = ("alias", "model")
    search_help_text = "The exact alias or model; the id of a project or key."
    exclude = ["project_id", "api_key_id", "metadata"]
    readonly_fields = ["project", "api_key", "formatted_metadata"]

    @admin.display(description="bound", boolean=True)
    def is_bound(self, row: AliasBinding) -> bool:
        return not row.is_deleted

    @admin.display(description="metadata")
    def formatted_metadata(self, row: AliasBinding) -> str:
        return pretty_json(row.metadata)
