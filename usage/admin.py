from django import forms
from django.contrib import admin, messages
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.forms import ActionForm

from accounts.models import Project
from core import ids
from core.admin import RecordAdmin, pretty_json
from usage import day_ranges, reversals
from usage.models import DailyUsage, UsageLog

MAX_VOIDED = 1_000  # logs that one action takes back


class VoidForm(ActionForm):
    reason = forms.CharField(required=False, max_length=500, label="reason")


class LabelFilter(FieldTextFilter):
    """Reads the ledger only from the first to the last day on which the label occurs."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        logs = super().queryset(request, queryset)
        if self.lookup_kwarg not in self.used_parameters:
            return logs
        labelled = DailyUsage.objects.filter(**{self.lookup_kwarg: self.value()})
        days = labelled.aggregate(first=Min("day"), last=Max("day"))
        if days["first"] is None:
            return logs.none()
        start, end = day_ranges.from_to(days["first"], days["last"])
        return logs.filter(id__gte=ids.lowest(start), id__lt=ids.lowest(end))


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
        "cost_text",
        "cost_source",
    ]
    list_filter = [
        "cost_source",
        "usage_status",
        "entry_type",
        ("provider", LabelFilter),
        ("model", LabelFilter),
        ("alias", LabelFilter),
        ("origin", LabelFilter),
    ]
    list_filter_submit = True
    search_ids = ("id", "project_id", "conversation_id", "api_key_id")
    search_in_projects = ("conversation_id", "event_id", "api_key_id", "id_at_origin")
    projects = Project.objects.all()
    search_texts = ("event_id", "id_at_origin")
    search_help_text = "An id of a log, project, key or conversation; an id at its origin."
    exclude = ["metadata", "fingerprint", "cost"]
    readonly_fields = ["cost_text", "metadata_json"]
    actions = ["void"]
    action_form = VoidForm

    def may_find(self, name: str, value: object) -> bool:
        if name != "api_key_id":
            return True
        return DailyUsage.objects.filter(api_key_id=str(value)).exists()

    def has_correct_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("usage.correct_usagelog")

    @admin.action(description="Take the selected logs back", permissions=["correct"])
    def void(self, request: HttpRequest, logs: QuerySet[UsageLog]) -> None:
        reason = request.POST.get("reason", "").strip()
        chosen = list(logs[: MAX_VOIDED + 1])
        if not reason or len(chosen) > MAX_VOIDED:
            what = "Say why they are wrong" if not reason else f"Choose at most {MAX_VOIDED:,}"
            self.message_user(request, f"No log was taken back. {what}.", messages.ERROR)
            return
        voided = 0
        for log in chosen:
            try:
                reversals.reverse(log, reason=reason[:500], author=f"user {request.user.pk}")
                voided += 1
            except (reversals.AlreadyCorrected, reversals.NotCorrectable) as error:
                self.message_user(request, f"{log.id}: {error}", messages.WARNING)
        self.message_user(request, f"{voided} logs taken back.", messages.SUCCESS)

    @admin.display(description="cost (USD)", ordering="cost")
    def cost_text(self, log: UsageLog) -> str:
        return "unpriced" if log.cost is None else f"{log.cost.normalize():f}"

    @admin.display(description="metadata")
    def metadata_json(self, log: UsageLog) -> str:
        return pretty_json(log.metadata)
