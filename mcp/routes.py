"""Shared parts of the MCP views: documentation, input, rows."""

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from core.paths import uuid_in_path
from mcp.models import Server
from mcp.serializers import ItemsQuery

FAILED = OpenApiResponse(description="The MCP server did not answer, or not as it should.")
NOT_FOUND = OpenApiResponse(description="There is none of this id in your project.")


def in_path(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.UUID, OpenApiParameter.PATH)


def documented(
    summary: str,
    *,
    reply,
    example: dict,
    request=None,
    entry: dict | None = None,
    others: dict | None = None,
    **options,
):
    """The route's entry in the OpenAPI document; `others` are its answers beside 200."""
    shown = [OpenApiExample("reply", example, response_only=True, status_codes=["200"])]
    if entry is not None:
        shown.append(OpenApiExample("request", entry, request_only=True))
    return extend_schema(
        tags=["mcp"],
        summary=summary,
        request=request,
        responses={200: reply, **(others or {})},
        examples=shown,
        **options,
    )


def entry_of(request, serializer: type) -> dict:
    """The body, validated. Raises InvalidInput."""
    made = serializer(data=request.data, context={"request": request})
    made.is_valid(raise_exception=True)
    return made.validated_data


def optional_entry_of(request, serializer: type) -> dict:
    """As `entry_of`; {} without a body."""
    return entry_of(request, serializer) if request.body.strip() else {}


def row_of(model: type, request, text: str, name: str):
    """The row of the caller's project with this id, its server with it.

    Raises Http404, or InvalidInput for what is no id.
    """
    rows = model.objects.for_caller(request.auth)
    if model is not Server:
        rows = rows.select_related("server")
    row = rows.filter(pk=uuid_in_path(text, name)).first()
    if row is None:
        raise Http404(f"{model._meta.object_name} not found")
    return row


def rows_of(model: type, request):
    """The rows of the caller's project that the query asks for, their servers with them."""
    query = ItemsQuery.read(request)
    rows = model.objects.for_caller(request.auth).filter(is_active=query["is_active"])
    if "server_id" in query:
        rows = rows.filter(server_id=query["server_id"])
    return rows.select_related("server")
