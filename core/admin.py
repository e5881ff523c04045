"""Base classes of the admin. Records are read, not edited; any query string gets a page."""

import json
from uuid import UUID

from django.conf import settings
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import FieldError, ValidationError
from django.core.paginator import EmptyPage
from django.db import DataError, OperationalError
from django.db.models import QuerySet
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.paginator import InfinitePaginator

from core.errors import is_timeout
from core.timeline import TimelineChangeList

MAX_PAGES = 1_000  # PostgreSQL reads and drops the rows of the pages before
_ODD_QUERY = (
    DataError,
    DisallowedModelAdminLookup,
    FieldError,
    OverflowError,
    TypeError,
    ValidationError,
    ValueError,
)


class ModelAdmin(UnfoldModelAdmin):
    """Answers odd query strings with the plain list, and slow ones with what to do."""

    def changelist_view(self, request, extra_context=None):
        if request.method != "GET":
            return super().changelist_view(request, extra_context)
        try:
            response = super().changelist_view(request, extra_context)
            # Lists are read while they are rendered: failures show here, or too late.
            return response.render() if hasattr(response, "render") else response
        except _ODD_QUERY:
            if ERROR_FLAG in request.GET:
                raise
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        except OperationalError as error:
            if not is_timeout(error):
                raise
            context = {
                **self.admin_site.each_context(request),
                "title": "This list takes too long",
                "path": request.path,
                "seconds": settings.STATEMENT_TIMEOUT_SECONDS,
            }
            return TemplateResponse(request, "core/too_slow.html", context, status=503)


class BoundedPaginator(InfinitePaginator):
    """Pages of a table that is never counted, up to a number that can be reached."""

    def validate_number(self, number):
        number = super().validate_number(number)
        if number > MAX_PAGES:
            raise EmptyPage(f"Only the first {MAX_PAGES} pages are shown")
        return number


class ReadOnlyAdmin(ModelAdmin):
    """For records: list, search and read; nothing is added, changed or deleted here.

    It never counts the table. The search box takes an id (`search_ids`) or the
    exact text of one of `search_texts`; each has an index, if need be one that
    begins with the project (`search_in_projects`, of `projects`).
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    actions = None
    search_ids: tuple[str, ...] = ("id",)
    search_texts: tuple[str, ...] = ()
    search_in_projects: tuple[str, ...] = ()
    projects: QuerySet | None = None

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    def get_search_fields(self, request):
        return [*self.search_ids, *self.search_texts]

    def may_find(self, name: str, value: object) -> bool:
        """Return whether a field may have the value; for those without an index."""
        return True

    def get_search_results(self, request, queryset, search_term):
        """Return the rows of the first field that has any: an OR would scan the table."""
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        try:
            fields, value = self.search_ids, UUID(term)
        except ValueError:
            fields, value = self.search_texts, term
        for name in fields:
            if not self.may_find(name, value):
                continue
            matches = queryset.filter(**{name: value})
            if name in self.search_in_projects:
                ids = self.projects.values_list("id", flat=True)
                matches = matches.filter(project_id__in=list(ids))
            if matches.order_by().exists():
                return matches, False
        return queryset.none(), False


class RecordAdmin(ReadOnlyAdmin):
    """For rows whose id carries their time: newest first, dates without table scans."""

    date_hierarchy = "created_at"
    ordering = ["-id"]

    def get_changelist(self, request, **kwargs):
        return TimelineChangeList


def pretty_json(value: object) -> str:
    """Return the value as indented JSON, for a read-only field."""
    return format_html('<pre style="white-space: pre-wrap">{}</pre>', indented_json(value))


def indented_json(value: object) -> str:
    """Return the value as indented JSON, with long decimals as strings."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
