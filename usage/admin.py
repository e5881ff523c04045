from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from unfold.forms import ActionForm

from accounts.admin.links import OwnerLinks
from accounts.models import ApiKey, Project
from core.admin import RecordAdmin
from core.date_filter import DatesFilter
from core.number_formats import counted
from core.scoping import person_as_author
from usage import price_page, reversals
from usage.admin_export import as_file
from usage.label_filters import KeyFilter, LabelFilter, ProjectFilter, ValuesFilter
from usage.log_fields import LogFields
from usage.log_list import LogChangeList
from usage.log_paginator import LogPaginator
from usage.models import DailyUsage, UsageLog


class VoidForm(ActionForm):
    reason = forms.CharField(required=False, max_length=500, label="reason")


@admin.register(UsageLog)
class UsageLogAdmin(LogFields, OwnerLinks, RecordAdmin):
    list_display = [
        "time",
        "project",
        "provider",
        "model",
        "cost_text",
        "input_count",
        "output_count",
        "latency",
        "state",
        "alias",
        "origin",
    ]
    list_display_links = ["time"]
    sortable_by = ["time", "cost_text", "latency"]
    list_filter = [
        DatesFilter,
        ("project_id", ProjectFilter),
        ("provider", LabelFilter),
        ("model", LabelFilter),
        ("alias", LabelFilter),
        ("origin", LabelFilter),
        ("profile", LabelFilter),
        ("api_key_id", KeyFilter),
        ("cost_source", ValuesFilter),
        ("usage_status", ValuesFilter),
        ("entry_type", ValuesFilter),
    ]
    paginator = LogPaginator
    list_filter_submit = True
    list_fullwidth = True
    list_before_template = "usage/list_head.html"
    search_ids = ("id", "project_id", "conversation_id", "api_key_id", "corrects_id")
    search_in_projects = (
        "conversation_id",
        "event_id",
        "api_key_id",
        "id_at_origin",
        "corrects_id",
    )
    projects = Project.objects.all()
    search_texts = ("event_id", "id_at_origin")
    search_help_text = "A part of a model, alias or origin; an id"
    actions = ["void"]
    action_form = VoidForm

    def may_find(self, name: str, value: object) -> bool:
        if name != "api_key_id":
            return True
        return DailyUsage.objects.filter(api_key_id=str(value)).exists()

    def get_changelist(self, request, **kwargs):
        return LogChangeList

    def changelist_view(self, request, extra_context=None):
        context = {
            **(extra_context or {}),
            "export_kinds": ["csv", "ndjson"],
            "can_set_prices": price_page.may_set(request.user),
        }
        return super().changelist_view(request, context)

    def get_object(self, request, object_id, from_field=None):
        log = super().get_object(request, object_id, from_field)
        if log:
            log.may_be_priced = price_page.may_set(request.user)
        return log

    def get_search_results(self, request, queryset, search_term):
        if condition := getattr(request, "label_condition", None):
            return queryset.filter(condition), False
        return super().get_search_results(request, queryset, search_term)

    def describe_filter_value(self, name: str, value: str) -> str:
        """Return the name of a project or key, and a choice in words."""
        model = {"project_id": Project, "api_key_id": ApiKey}.get(name.partition("__")[0])
        return _names(model, value.split(",")) if model else value

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("export/<str:kind>/", view(self.export), name="usage_usagelog_export"),
            path("sums/", view(self.sums), name="usage_usagelog_sums"),
            path("price/", view(self.set_price), name="usage_usagelog_price"),
            *super().get_urls(),
        ]

    def export(self, request: HttpRequest, kind: str):
        if not self.has_view_permission(request):
            raise PermissionDenied
        return as_file(self.selection(request), kind)

    def sums(self, request: HttpRequest):
        """Show the sums of a list that did not wait for them; without scripts on a page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        changes = self.selection(request)
        context = {
            "cl": changes,
            "totals": changes.sum(),
            "given_up_after": settings.STATEMENT_TIMEOUT_SECONDS,
            "can_set_prices": price_page.may_set(request.user),
        }
        if "HX-Request" in request.headers:
            return TemplateResponse(request, "usage/list_sums.html", context)
        context |= {**self.admin_site.each_context(request), "title": "Sums of the selected logs"}
        return TemplateResponse(request, "usage/sums_page.html", context)

    def set_price(self, request: HttpRequest):
        return price_page.respond(request, self)

    def has_correct_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("usage.correct_usagelog")

    @admin.action(description="Take the selected logs back", permissions=["correct"])
    def void(self, request: HttpRequest, logs: QuerySet[UsageLog]) -> None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            message = "No log was taken back. Say why they are wrong."
            self.message_user(request, message, messages.ERROR)
            return
        voided, author = 0, person_as_author(request.user.pk)
        for log in logs:
            try:
                with transaction.atomic():
                    reversals.reverse(log, reason=reason[:500], author=author)
                    self.log_change(request, log, f"Taken back: {reason[:500]}")
                voided += 1
            except (reversals.AlreadyCorrected, reversals.NotCorrectable) as error:
                self.message_user(request, f"{log.id}: {error}", messages.WARNING)
        self.message_user(request, f"{counted(voided, 'log')} taken back.", messages.SUCCESS)


def _names(model: type, ids: list[str]) -> str:
    names = {str(row.pk): str(row) for row in model.objects.filter(pk__in=ids)}
    return ", ".join(names.get(id, id) for id in ids)
