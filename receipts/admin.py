from django.contrib import admin
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import display

from core.admin import ReadOnlyAdmin, RecordAdmin, pretty_json
from receipts.documents import AmbiguousJSON
from receipts.models import Receipt, ReceiptKey

_STATUS_COLORS = {"verified": "success", "not valid": "danger"}


@admin.register(Receipt)
class ReceiptAdmin(RecordAdmin):
    list_display = [
        "timestamp",
        "receipt_id",
        "signature_status",
        "form",
        "receipt_type",
        "model",
        "alias",
        "total_tokens",
        "formatted_cost",
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
    readonly_fields = ["signature_status", "formatted_cost", "formatted_document"]

    @display(description="signature", label=_STATUS_COLORS)
    def signature_status(self, receipt) -> str:
        """Return the outcome of verifying the stored text now."""
        return "verified" if receipt.is_verified else "not valid"

    @admin.display(description="cost (USD)", ordering="total_cost")
    def formatted_cost(self, receipt) -> str:
        return format(receipt.total_cost.normalize(), "f")

    @admin.display(description="document")
    def formatted_document(self, receipt) -> str:
        try:
            return pretty_json(receipt.content)
        except AmbiguousJSON:
            return receipt.document


@admin.register(ReceiptKey)
class ReceiptKeyAdmin(ReadOnlyAdmin):
    list_display = ["key_id", "public_key_text", "created_at"]
    search_ids = ("id",)
    search_texts = ("key_id",)
    exclude = ["public_key"]
    readonly_fields = ["public_key_text"]

    @admin.display(description="public key (base64url)")
    def public_key_text(self, row) -> str:
        return row.key.text
