from django.contrib import admin
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import display

from core.admin import ReadOnlyAdmin, RecordAdmin, pretty_json
from receipts.models import Receipt, ReceiptKey
from receipts.reading import Unreadable

_BADGE = {"verified": "success", "not valid": "danger"}


@admin.register(Receipt)
class ReceiptAdmin(RecordAdmin):
    list_display = [
        "timestamp",
        "receipt_id",
        "badge",
        "form",
        "receipt_type",
        "model",
        "alias",
        "total_tokens",
        "shown_cost",
        "key_id",
    ]
    list_filter = [
        "form",
        "receipt_type",
        ("model", FieldTextFilter),
        ("alias", FieldTextFilter),
        ("key_id", FieldTextFilter),
    ]
    list_filter_submit = True
    search_ids = ("id", "project_id", "api_key_id")
    search_texts = ("receipt_id",)
    search_help_text = "An id of a receipt, project or key."
    exclude = ["document", "total_cost"]
    readonly_fields = ["badge", "shown_cost", "shown_document"]

    @display(description="signature", label=_BADGE)
    def badge(self, receipt) -> str:
        """Computed from the stored text each time it is looked at."""
        return "verified" if receipt.is_verified else "not valid"

    @admin.display(description="cost (USD)", ordering="total_cost")
    def shown_cost(self, receipt) -> str:
        return format(receipt.total_cost.normalize(), "f")

    @admin.display(description="document")
    def shown_document(self, receipt) -> str:
        try:
            return pretty_json(receipt.content)
        except Unreadable:
            return receipt.document


@admin.register(ReceiptKey)
class ReceiptKeyAdmin(ReadOnlyAdmin):
    list_display = ["key_id", "shown_key", "created_at"]
    search_ids = ("id",)
    search_texts = ("key_id",)
    exclude = ["public_key"]
    readonly_fields = ["shown_key"]

    @admin.display(description="public key (base64url)")
    def shown_key(self, row) -> str:
        return row.key.text
