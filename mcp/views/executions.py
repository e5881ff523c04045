"""Executions of tools."""

from rest_framework.pagination import BasePagination
from rest_framework.response import Response

from core.cursors import NEXT_CURSOR, next_cursor
from core.viewsets import ListMixin, RetrieveMixin, ScopedModelViewSet
from mcp.models import ToolExecution
from mcp.schemas import executions as schemas


class ExecutionPagination(BasePagination):
    """Pages of limited size in bytes; the header `X-Next-Cursor` continues them."""

    next_cursor = None

    def paginate_queryset(self, queryset, request, view=None):
        query = view.query
        rows, self.next_cursor = queryset.page(limit=query.limit, cursor=query.cursor)
        return rows

    def get_paginated_response(self, data):
        return Response(data, headers=next_cursor(self.next_cursor))


class ExecutionViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    """Executions of all tools, newest first."""

    queryset = ToolExecution.objects.order_by("-id")
    reply = schemas.Execution
    queries = {"list": schemas.ExecutionsQuery}
    headers = {"list": [NEXT_CURSOR]}
    filters = {"tool_id": "tool_id", "conversation_id": "conversation_id"}
    pagination_class = ExecutionPagination
    lookup_url_kwarg = "execution_id"
    not_found = "Execution not found"
    tags = ["mcp"]

    def list(self, request):
        """List the executions of all tools, newest first"""
        return super().list(request)

    def retrieve(self, request, execution_id):
        """Get an execution"""
        return super().retrieve(request)
