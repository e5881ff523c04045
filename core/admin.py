"""Base classes of the admin.

Records are read-only, and no query string leads to a server error.
"""

from datetime import datetime
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import (
    BadRequest,
    FieldDoesNotExist,
    FieldError,
    PermissionDenied,
    ValidationError,
)
from django.core.paginator import EmptyPage
from django.db import DataError, OperationalError, connection
from django.db.models import JSONField, QuerySet
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.paginator import InfinitePaginator

from core import admin_patches  # noqa: F401 - changes what they are made of
from core.change_list import ChangeList
from core.chosen_rows import MAX_CHOSEN, first_rows
from core.database.any_id import any_id
from core.errors import is_timeout
from core.json_columns import ExactJSONField, PlainStrictDecoder
from core.timeline import TimelineChangeList

MAX_FOUND = 100  # rows of a search that are looked up by their ids
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
    """Redirects invalid query strings to the plain list, and explains slow ones."""

    list_before_template = "core/active_filters.html"
    empty_note = ""  # shown where the list is empty

    def get_changelist(self, request, **kwargs):
        return ChangeList

    def describe_filter_value(self, name: str, value: str) -> str:
        """Return the text that stands for a value of a query parameter."""
        return value

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        if query := request.GET.get("_changelist_filters"):
            request.list_query = f"?{query}"  # of the list that the page was opened from
        if "_saveasnew" in request.POST and not self.save_as:
            # Django would add a row all the same, past what `add_view` checks.
            raise PermissionDenied
        context = self._without_closed_list(request, extra_context)
        return super().changeform_view(request, object_id, form_url, context)

    def delete_view(self, request, object_id, extra_context=None):
        context = self._without_closed_list(request, extra_context)
        return super().delete_view(request, object_id, context)

    def _without_closed_list(self, request, context: dict | None) -> dict:
        """Keep a page from linking to rows that the viewer may add or delete, but not see."""
        request.is_list_closed = not self.has_view_permission(request)
        # Unfold's template makes a text of it: "False" is true.
        hidden = {"show_back_button": ""} if request.is_list_closed else {}
        return {**(context or {}), **hidden}

    def changelist_view(self, request, extra_context=None):
        if request.method != "GET":
            self._check_action(request)
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

    def get_changelist_instance(self, request):
        changes = super().get_changelist_instance(request)
        for row in changes.result_list:
            row.viewer = request.user  # for links: columns do not get the request
        return changes

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if isinstance(db_field, JSONField) and not isinstance(db_field, ExactJSONField):
            # Python's own reader fails where arrays are deep, and takes NaN.
            kwargs.setdefault("decoder", PlainStrictDecoder)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_object(self, request, object_id, from_field=None):
        row = super().get_object(request, object_id, from_field)
        if row is not None and request.method == "POST" and connection.in_atomic_block:
            self.lock(request, row)
            row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.viewer = request.user
        return row

    def lock(self, request, row) -> None:
        """Lock a row that a form is going to change or delete.

        Django saves every column as it was read, and would undo a concurrent change.
        """
        rows = self.model._base_manager.filter(pk=row.pk)
        list(rows.select_for_update(no_key=True).values_list("pk"))

    def get_search_results(self, request, queryset, search_term):
        """Drop NUL, which PostgreSQL refuses in a text. Autocompletion searches here, too."""
        return super().get_search_results(request, queryset, search_term.replace("\x00", ""))

    def selection(self, request) -> ChangeList:
        """Return the list that a query string selects. Raises BadRequest for an invalid one."""
        try:
            changes = self.get_changelist_instance(request)
            list(changes.result_list[:1])
            return changes
        except (*_ODD_QUERY, IncorrectLookupParameters) as error:
            raise BadRequest(f"The query selects nothing: {error}") from None

    def response_action(self, request, queryset):
        if forms.BooleanField(required=False).clean(request.POST.get("select_across")):
            queryset = first_rows(request, queryset, MAX_CHOSEN)
        return super().response_action(request, queryset)

    def _check_action(self, request) -> None:
        """Raise PermissionDenied for an unavailable action, BadRequest for invalid row ids."""
        action = request.POST.get("action")
        if action and action not in self.get_actions(request):
            raise PermissionDenied
        try:
            for id in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(id)
        except ValidationError as error:
            raise BadRequest(f"This is not the id of a row: {error}") from None

    def get_changeform_initial_data(self, request):
        """Return the values of the query string, converted by their fields; skip invalid ones."""
        initial = {}
        for name, text in super().get_changeform_initial_data(request).items():
            try:
                field = self.opts.get_field(name)
                if isinstance(field, JSONField):  # which takes any text for a value
                    continue
                value = field.to_python(text)
            except (FieldDoesNotExist, *_ODD_QUERY):
                continue
            is_naive = isinstance(value, datetime) and timezone.is_naive(value)
            initial[name] = timezone.make_aware(value) if is_naive else value
        return initial


class BoundedPaginator(InfinitePaginator):
    """Pages of a table that is never counted, up to a number that can be reached."""

    max_pages = MAX_PAGES

    def page(self, number):
        """Return the page, found by its ids: sorting whole rows takes four times as long."""
        page = super().page(number)
        ids = list(page.object_list.values_list("pk", flat=True))
        page.object_list = self.object_list.filter(pk__in=ids)
        return page

    def validate_number(self, number):
        number = super().validate_number(number)
        if number > self.max_pages:
            raise EmptyPage(f"Only the first {self.max_pages} pages are shown")
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
    list_disable_select_all = True  # it would have to count the list
    actions = None
    search_ids: tuple[str, ...] = ("id",)
    search_texts: tuple[str, ...] = ()
    search_in_projects: tuple[str, ...] = ()
    projects: QuerySet | None = None

    def changelist_view(self, request, extra_context=None):
        context = {"selection_note_all": "All of this page selected", **(extra_context or {})}
        return super().changelist_view(request, context)

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    def get_search_fields(self, request):
        return [*self.search_ids, *self.search_texts]

    def may_find(self, name: str, value: object) -> bool:
        """Return whether a search may use this field, which may lack an index, for the value."""
        return True

    def get_search_results(self, request, queryset, search_term):
        """Return the matches of the first field that has any: an OR would scan the table."""
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
                matches = matches.filter(any_id("project_id", ids))
            # Their ids, so that the page, its sums and its dates need not search again.
            found = list(matches.order_by().values_list("pk", flat=True)[: MAX_FOUND + 1])
            if len(found) > MAX_FOUND:
                return matches, False
            if found:
                return queryset.filter(pk__in=found), False
        return queryset.none(), False


class RecordAdmin(ReadOnlyAdmin):
    """For rows whose id carries their time: newest first, dates without table scans."""

    date_hierarchy = "created_at"
    ordering = ["-id"]

    def get_changelist(self, request, **kwargs):
        return TimelineChangeList
