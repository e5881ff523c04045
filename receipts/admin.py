from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.urls import path
from unfold.contrib.filters.admin import FieldTextFilter, TextFilter
from unfold.decorators import display

from accounts.admin.links import OwnerLinks
from conversations.models import Conversation
from core import json_writer
from core.admin import ReadOnlyAdmin, RecordAdmin
from core.admin_display import admin_link
from core.number_formats import count, exact, right, utc
from receipts import admin_files
from receipts.documents import AmbiguousJSON
from receipts.models import LogType, Receipt, ReceiptKey, ReceiptLog
from receipts.verification import NotValid
from usage.models import UsageLog

_STATUS_COLORS = {"verified": "success", "not valid": "danger"}
MAX_SHOWN_LOGS = 100


class CertifiedLogFilter(TextFilter):
    """Receipts that certify a log; its project is looked up, so that an index serves."""

    title = "id of a certified log"
    parameter_name = "certifies"

    def queryset(self, request, queryset):
        if not self.value():
            return queryset
        try:
            log_id = UUID(self.value())
        except ValueError:
            raise ValidationError("This is not the id of a log") from None
        owners = [
            project_id
            for model in (UsageLog, Conversation)
            for project_id in model.objects.filter(id=log_id).values_list("project_id", flat=True)
        ]
        logs = ReceiptLog.objects.filter(project_id__in=owners, log_id=log_id)
        return queryset.filter(id__in=list(logs.values_list("receipt_id", flat=True)))


@admin.register(Receipt)
class ReceiptAdmin(OwnerLinks, RecordAdmin):
    list_display = [
        "time",
        "receipt_id",
        "signature_status",
        "form",
        "receipt_type",
        "model",
        "alias",
        "tokens",
        "formatted_cost",
        "key_id",
    ]
    list_filter = [
        CertifiedLogFilter,
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
    fields = [
        ("receipt_id", "time"),
        ("form", "receipt_type"),
        ("provider", "model"),
        ("alias", "profile"),
        ("tokens", "formatted_cost"),
        ("key_id", "created"),
        ("project", "api_key"),
    ]
    readonly_fields = ["time", "tokens", "formatted_cost", "created", "project", "api_key"]
    change_form_outer_before_template = "receipts/head.html"
    change_form_outer_after_template = "receipts/documents.html"

    def get_urls(self):
        view = self.admin_site.admin_view(self.download)
        name = "receipts_receipt_download"
        return [path("<uuid:receipt_id>/file/<str:kind>/", view, name=name), *super().get_urls()]

    def download(self, request, receipt_id: UUID, kind: str):
        if not self.has_view_permission(request):
            raise PermissionDenied
        receipt = Receipt.objects.filter(id=receipt_id).first()
        if receipt is None:
            raise Http404("Receipt not found")
        return admin_files.download(receipt, kind)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        context = dict(extra_context or {})
        if receipt := self.get_object(request, object_id):
            context |= _page(receipt)
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="time", ordering="id")
    def time(self, receipt: Receipt) -> str:
        return right(utc(receipt.timestamp))

    @admin.display(description="stored at")
    def created(self, receipt: Receipt) -> str:
        return utc(receipt.created_at)

    @display(description="signature", label=_STATUS_COLORS)
    def signature_status(self, receipt: Receipt) -> str:
        """Return the outcome of verifying the stored text now."""
        return "verified" if receipt.is_verified else "not valid"

    @admin.display(description="tokens")
    def tokens(self, receipt: Receipt) -> str:
        return right(count(receipt.total_tokens))

    @admin.display(description="cost (USD)")
    def formatted_cost(self, receipt: Receipt) -> str:
        return right(exact(receipt.total_cost))


def _page(receipt: Receipt) -> dict:
    """Return what the page of a receipt shows beside its columns."""
    logs = ReceiptLog.objects.filter(project_id=receipt.project_id, receipt=receipt)
    shown = list(logs.order_by("log_id")[: MAX_SHOWN_LOGS + 1])
    return {
        "receipt": receipt,
        "problem": _problem(receipt),
        "members": _members(receipt),
        "files": list(admin_files.FILES),
        "commands": admin_files.commands(receipt),
        "logs": [(_log_link(receipt, log), log.log_type) for log in shown[:MAX_SHOWN_LOGS]],
        "has_more_logs": len(shown) > MAX_SHOWN_LOGS,
    }


def _problem(receipt: Receipt) -> str:
    try:
        receipt.verify()
    except NotValid as error:
        return str(error)
    return ""


def _members(receipt: Receipt) -> list[tuple[str, str]]:
    """Return the document's members by their paths: `cost.amount`. Texts are without quotes."""
    try:
        return list(_flat(receipt.content, ""))
    except AmbiguousJSON:
        return []


def _flat(value: object, prefix: str):
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list) and len(value) > 10:
        yield prefix, f"{len(value):,} entries"
    else:
        yield prefix, value if isinstance(value, str) else json_writer.dumps(value).decode()


def _log_link(receipt: Receipt, log: ReceiptLog) -> str:
    is_call = log.log_type == LogType.USAGE
    model = "usage.usagelog" if is_call else "conversations.conversation"
    return admin_link(receipt, model, log.log_id)


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
