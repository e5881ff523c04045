"""What API views declare: a schema for each body, query and reply, and nothing else.

    class UsageView(SchemaView):
        bodies = {"post": UsageReport}
        queries = {"get": UsageQuery}
        replies = {"post": StoredUsage, "get": list[Usage]}

The keys are the actions of a viewset, or the methods of a plain view. The OpenAPI
document reads the same members (core/openapi.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection
from django.utils.functional import cached_property
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from core import parsing
from core.database.lost_connections import is_lost
from core.idempotency import HEADER, checked_idempotency_key
from core.schemas import Schema

# Repeating a PUT changes nothing. A second DELETE would answer 404.
_REPEATABLE = ("GET", "HEAD", "PUT")


class SchemaMixin:
    """Gives a view `self.body` and `self.query`, validated. Both raise InvalidInput."""

    bodies: Mapping[str, Any] = {}
    queries: Mapping[str, type[Schema]] = {}
    replies: Mapping[str, Any] = {}
    samples: Mapping[str, Mapping[str, str]] = {}  # bodies that are not JSON, by media type
    # Members of a reply's example that differ from those of its schema, also by status.
    reply_examples: Mapping[str, Mapping] = {}
    headers: Mapping[str, list] = {}  # OpenApiParameters of request headers
    access: Mapping[str, str] = {}  # accounts.permissions.Action, if the method does not imply it
    tags: list[str] = []
    unique_members = False  # refuse bodies in which a member occurs twice
    reads_any_type = False  # as JSON, whatever `Content-Type` says

    @property
    def operation(self) -> str:
        """The action of a viewset, or the method of a plain view in lower case; HEAD is a `get`."""
        method = self.request.method.lower()
        return getattr(self, "action", None) or ("get" if method == "head" else method)

    @cached_property
    def body(self) -> Any:
        return parsing.parse(
            self.bodies[self.operation],
            self.request.body,
            content_type="" if self.reads_any_type else self.request.content_type or "",
            unique_members=self.unique_members,
        )

    @cached_property
    def query(self) -> Any:
        return parsing.parse_query(
            self.queries[self.operation], self.request.META.get("QUERY_STRING", "")
        )

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(response, Response):
            response.add_post_render_callback(self._break_cycles)
        return response

    def _break_cycles(self, response: Response) -> None:
        """Drop the references of a rendered response, so that body and result are freed.

        View, request and response refer to each other, and would live until the next garbage
        collection, many requests later.
        """
        vars(self).clear()
        response.data = response.renderer_context = None

    def handle_exception(self, error: Exception) -> Response:
        """Return the reply to an error; after a lost database connection, retry once.

        Only where that is harmless even if the first attempt was committed. A statement that
        can be repeated by itself has been (core/database/lost_connections.py): what fails here
        is a transaction, or a write outside of one.
        """
        if not self._may_repeat(error):
            return super().handle_exception(error)
        connection.close()
        try:
            self.initial(self.request, *self.args, **self.kwargs)
            return self._handler(self.request, *self.args, **self.kwargs)
        except Exception as second:
            return super().handle_exception(second)

    @property
    def _handler(self) -> Callable[..., Response]:
        return getattr(self, self.request.method.lower(), self.http_method_not_allowed)

    def _may_repeat(self, error: Exception) -> bool:
        if connection.in_atomic_block or not is_lost(error):
            return False
        if self.request.method in _REPEATABLE:
            return True
        key = checked_idempotency_key(self.request.headers.get(HEADER))
        return key is not None and hasattr(self._handler, "happens_once")


class SchemaView(SchemaMixin, APIView):
    """For an endpoint that is not a resource."""


class PublicView(SchemaView):
    """A view that needs no key, and refuses none."""

    authentication_classes = []
    permission_classes = [AllowAny]
