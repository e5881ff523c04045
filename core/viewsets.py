"""Resources of a project: rows that its callers list, read, create, change and delete.

    class NoteViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
        queryset = Note.objects.order_by("-id")
        reply = Note
        queries = {"list": page_query(default=50, maximum=100)}
        not_found = "Note not found"

A row of another project is not in the queryset, hence 404.
"""

from typing import Any

from django.http import Http404
from pydantic import Field
from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from core.paths import uuid_in_path
from core.schemas import INT64_MAX, Schema
from core.views import SchemaMixin


class Router(SimpleRouter):
    """Serves every path with and without a trailing slash."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"  # the argument is a boolean


def page_query(*, default: int, maximum: int) -> type[Schema]:
    """Return a query with `limit` (1 to `maximum`) and `offset` (from 0)."""

    class PageQuery(Schema):
        limit: int = Field(default, ge=1, le=maximum)
        offset: int = Field(0, ge=0, le=INT64_MAX)

    return PageQuery


class QueryFilter(BaseFilterBackend):
    """Narrows a list by the parameters that the view's `filters` maps to lookups."""

    def filter_queryset(self, request, queryset, view):
        wanted = {
            lookup: getattr(view.query, name)
            for name, lookup in view.filters.items()
            if getattr(view.query, name) is not None
        }
        return queryset.filter(**wanted)


class QueryPagination(BasePagination):
    """Pages by the query's `limit` and `offset`, as bare arrays, without counting."""

    def paginate_queryset(self, queryset, request, view=None):
        query = view.query
        return list(queryset[query.offset : query.offset + query.limit])

    def get_paginated_response(self, data):
        return Response(data)


class ScopedModelViewSet(SchemaMixin, GenericViewSet):
    """Rows of the caller's project; `reply` shows one of them."""

    reply: type[Schema]
    not_found = "Not Found"
    filters: dict[str, str] = {}
    filter_backends = [QueryFilter]
    pagination_class = QueryPagination
    lookup_url_kwarg = "id"
    lookup_value_regex = "[^/]+"

    def get_queryset(self):
        return super().get_queryset().for_caller(self.request.auth)

    def get_object(self):
        """Return the row in the path. Raises Http404, and InvalidInput if it is not a UUID."""
        name = self.lookup_url_kwarg
        row = self.get_queryset().filter(pk=uuid_in_path(self.kwargs[name], name)).first()
        if row is None:
            raise Http404(self.not_found)
        return row

    def get_serializer(self, *args, **kwargs):
        """Return the schema of replies, which DRF calls the serializer."""
        return self.reply

    def represent(self, row: object, reply: type[Schema] | None = None) -> dict[str, Any]:
        """Return what the API shows of a row."""
        return (reply or self.reply).model_validate(row, from_attributes=True).model_dump()


class ListMixin:
    def list(self, request, *args, **kwargs):
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([self.represent(row) for row in page])


class RetrieveMixin:
    def retrieve(self, request, *args, **kwargs):
        return Response(self.represent(self.get_object()))
