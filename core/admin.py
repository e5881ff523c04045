"""Base classes of the admin: records are read, not edited."""

import json
from uuid import UUID

from django.db.models import Q
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from core.timeline import TimelineChangeList


class ReadOnlyAdmin(ModelAdmin):
    """For records: list, search and read; nothing is added, changed or deleted here.

    It never counts the table. The search box takes an id (`search_ids`) or the
    exact text of one of `search_texts`.
    """

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    actions = None
    search_ids: tuple[str, ...] = ("id",)
    search_texts: tuple[str, ...] = ()

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    def get_search_fields(self, request):
        return [*self.search_ids, *self.search_texts]

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            fields, value = self.search_ids, UUID(term)
        except ValueError:
            fields, value = self.search_texts, term.replace("\x00", "")
        matches = Q(pk__in=[])
        for name in fields:
            matches |= Q(**{name: value})
        return queryset.filter(matches), False


class RecordAdmin(ReadOnlyAdmin):
    """For rows whose id carries their time: newest first, dates without table scans."""

    date_hierarchy = "created_at"
    ordering = ["-id"]

    def get_changelist(self, request, **kwargs):
        return TimelineChangeList


def pretty_json(value: object) -> str:
    """The value as indented JSON, for a read-only field."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre style="white-space: pre-wrap">{}</pre>', text)
