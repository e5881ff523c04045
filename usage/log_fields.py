"""The columns and fields of a log in the admin: numbers, links, and what stands out."""

from django.contrib import admin
from django.utils.html import format_html_join
from unfold.decorators import display

from core.admin_display import admin_link, list_link, pretty_json
from core.number_formats import count, exact, right, utc
from usage import price_page
from usage.models import EntryType, UsageLog, UsageStatus

# A log's state, and the color of its badge.
_COLORS = {
    "reversal": "danger",
    "replacement": "info",
    "unpriced": "warning",
    "unknown": "warning",
    "failed": "danger",
    "estimated": "info",
    "settled": "success",
}


class LogFields:
    """Displays for UsageLogAdmin, whose rows know whether they `may_be_priced`."""

    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("created", "state"),
                    ("provider", "model"),
                    ("alias", "origin"),
                    ("cost_text", "price_link"),
                    ("input_count", "output_count"),
                    ("latency", "usage_status"),
                ]
            },
        ),
        (
            "Belongs to",
            {
                "fields": [
                    ("project", "api_key"),
                    ("conversation", "receipts"),
                    ("corrects", "corrections"),
                    ("snapshot", "custom_price"),
                ]
            },
        ),
        (
            "More",
            {
                "fields": [
                    ("priced_as", "cost_source"),
                    "unpriced_reason",
                    ("cached_input_tokens", "cache_write_5m_tokens"),
                    ("cache_write_1h_tokens", "cache_write_tokens"),
                    ("audio_input_tokens", "image_input_tokens"),
                    ("audio_output_tokens", "image_output_tokens"),
                    "thinking_tokens",
                    "extras",
                    ("profile", "read_as"),
                    ("id_at_origin", "end_user"),
                    ("event_id", "received"),
                    ("correction_reason", "correction_author"),
                    ("id", "user_id"),
                    "metadata_json",
                ]
            },
        ),
    ]
    readonly_fields = [
        "id",
        "created",
        "received",
        "state",
        "cost_text",
        "price_link",
        "input_count",
        "output_count",
        "latency",
        "project",
        "api_key",
        "conversation",
        "receipts",
        "corrects",
        "corrections",
        "snapshot",
        "custom_price",
        "extras",
        "metadata_json",
    ]

    @admin.display(description="time", ordering="id")
    def time(self, log: UsageLog) -> str:
        return right(utc(log.created_at))

    @admin.display(description="time")
    def created(self, log: UsageLog) -> str:
        return utc(log.created_at, "microseconds")

    @admin.display(description="stored at")
    def received(self, log: UsageLog) -> str:
        return utc(log.received_at, "microseconds")

    @admin.display(description="input tokens")
    def input_count(self, log: UsageLog) -> str:
        return right(count(log.input_tokens))

    @admin.display(description="output tokens")
    def output_count(self, log: UsageLog) -> str:
        return right(count(log.output_tokens))

    @admin.display(description="cost (USD)", ordering="cost")
    def cost_text(self, log: UsageLog) -> str:
        return right("unpriced" if log.cost is None else exact(log.cost))

    @admin.display(description="latency (ms)", ordering="latency_ms")
    def latency(self, log: UsageLog) -> str:
        return right(count(log.latency_ms))

    @display(description="status", label=_COLORS)
    def state(self, log: UsageLog) -> str:
        """What is unusual about a log: that it corrects another, has no price or did not settle."""
        if log.entry_type != EntryType.CALL:
            return log.entry_type
        if log.usage_status != UsageStatus.SETTLED:
            return log.usage_status
        return "unpriced" if log.cost is None else "settled"

    @admin.display(description="conversation")
    def conversation(self, log: UsageLog) -> str:
        return admin_link(log, "conversations.conversation", log.conversation_id)

    @admin.display(description="receipts")
    def receipts(self, log: UsageLog) -> str:
        return list_link(log, "receipts.receipt", {"certifies": log.id}, "Receipts that certify it")

    @admin.display(description="corrects")
    def corrects(self, log: UsageLog) -> str:
        return admin_link(log, "usage.usagelog", log.corrects_id)

    @admin.display(description="corrected by")
    def corrections(self, log: UsageLog) -> str:
        entries = UsageLog.objects.filter(project_id=log.project_id, corrects_id=log.id)
        if not entries:
            return "-"
        links = (
            (admin_link(log, "usage.usagelog", entry.id), entry.entry_type) for entry in entries
        )
        return format_html_join(", ", "{} ({})", links)

    @admin.display(description="registry snapshot")
    def snapshot(self, log: UsageLog) -> str:
        return admin_link(log, "registry_proxy.snapshot", log.snapshot_id)

    @admin.display(description="own price")
    def custom_price(self, log: UsageLog) -> str:
        return admin_link(log, "registry_proxy.customprice", log.custom_price_id)

    @admin.display(description="price")
    def price_link(self, log: UsageLog) -> str:
        is_unpriced = log.cost is None and log.usage_status != UsageStatus.UNKNOWN
        if not (is_unpriced and log.may_be_priced):
            return "-"
        return price_page.link(log)

    @admin.display(description="units and modifiers")
    def extras(self, log: UsageLog) -> str:
        return pretty_json(log.units_and_modifiers or {})

    @admin.display(description="metadata")
    def metadata_json(self, log: UsageLog) -> str:
        return pretty_json(log.metadata)
