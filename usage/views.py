from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from core.errors import InvalidInput, issue
from usage import batches, export, ingestion, listing, statistics
from usage.entries import LogEntry
from usage.ingestion import OwnedConversations
from usage.serializers import (
    BatchEntrySerializer,
    ExportQuery,
    LogEntrySerializer,
    LogReplySerializer,
    LogsQuery,
    StatsQuery,
)
from usage.windows import read_query

_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="A retry with the same key and body gets the first answer; another body gets 409.",
)
_ENTRY = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "input_tokens": 1000,
    "output_tokens": 200,
    "cached_input_tokens": 400,
    "alias": "summarizer",
    "origin": "billing",
}
_REPLY = {
    "log_id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "cost": 0.00024,
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "cost_source": "registry",
}


def _idempotency_key(request) -> str | None:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > 255 or "\x00" in key:
        message = "Idempotency-Key should have at most 255 characters"
        raise InvalidInput(
            [issue("string_too_long", ["header", "Idempotency-Key"], message, None, max_length=255)]
        )
    return key or None


class LogView(APIView):
    owned_conversations: OwnedConversations = None

    @extend_schema(
        tags=["usage"],
        summary="Log one call",
        description="Stores the numbers of a call, never its texts. Answered when it is on disk.",
        parameters=[_IDEMPOTENCY_KEY],
        request=LogEntrySerializer,
        responses=LogReplySerializer,
        examples=[
            OpenApiExample("cost left to the registry", _ENTRY, request_only=True),
            OpenApiExample("stored", _REPLY, response_only=True),
        ],
    )
    def post(self, request):
        serializer = LogEntrySerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        entry = LogEntry(**serializer.validated_data)
        row = ingestion.log(
            entry,
            request.auth,
            owned_conversations=self.owned_conversations,
            idempotency_key=_idempotency_key(request),
        )
        return Response(row.reply())


class LogBatchView(APIView):
    owned_conversations: OwnedConversations = None

    @extend_schema(
        tags=["usage"],
        summary="Log many calls at once",
        description=(
            f'Up to {batches.MAX_ITEMS} items, as `{{"logs": […]}}` or as NDJSON '
            "(`application/x-ndjson`). Every item has its own result, in the order sent; a bad "
            "one does not sink the others, and the good ones are stored together or not at all."
        ),
        parameters=[_IDEMPOTENCY_KEY],
        request={
            "application/json": {
                "type": "object",
                "properties": {
                    "logs": {
                        "type": "array",
                        "items": {"$ref": "#/components/schemas/BatchEntryRequest"},
                    }
                },
                "required": ["logs"],
            },
            "application/x-ndjson": BatchEntrySerializer,
        },
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample(
                "two calls",
                {"logs": [{**_ENTRY, "event_id": "call-1"}, {**_ENTRY, "input_tokens": -1}]},
                request_only=True,
                media_type="application/json",
            ),
            OpenApiExample(
                "one stored, one refused",
                {
                    "created": 1,
                    "duplicates": 0,
                    "failed": 1,
                    "results": [
                        {"index": 0, "status": "created", **_REPLY},
                        {
                            "index": 1,
                            "status": "error",
                            "detail": [
                                issue(
                                    "greater_than_equal",
                                    ["body", "input_tokens"],
                                    "Input should be greater than or equal to 0",
                                    -1,
                                    ge=0,
                                )
                            ],
                        },
                    ],
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request):
        report = batches.log_batch(
            batches.split(request.body, request.content_type or ""),
            request.auth,
            owned_conversations=self.owned_conversations,
            idempotency_key=_idempotency_key(request),
        )
        return Response(report)


class StatsView(APIView):
    @extend_schema(
        tags=["usage"],
        summary="Sums of a window, by period and by label",
        description="Money is decimal text, except in `by_origin`. `date` begins the period.",
        parameters=[StatsQuery],
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample(
                "one call",
                {
                    "summary": {
                        "total_requests": 1,
                        "total_cost": "0.00024",
                        "total_tokens": 1200,
                        "unique_models": 1,
                        "unique_origins": 1,
                        "unpriced_requests": 0,
                    },
                    "by_day": [
                        {
                            "date": "2026-01-02",
                            "requests": 1,
                            "cost": "0.00024",
                            "top_model": "gpt-4o-mini",
                        }
                    ],
                    "by_model": {
                        "gpt-4o-mini": {
                            "requests": 1,
                            "cost": "0.00024",
                            "input_tokens": 1000,
                            "output_tokens": 200,
                        }
                    },
                    "by_origin": {"billing": {"requests": 1, "cost": 0.00024}},
                },
            )
        ],
    )
    def get(self, request):
        return Response(statistics.stats(request.auth, request.META["QUERY_STRING"]))


class LogsView(APIView):
    @extend_schema(
        tags=["usage"],
        summary="List logs, newest first",
        description="`X-Next-Cursor` holds the `cursor` of the next page while there may be one.",
        parameters=[LogsQuery],
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample(
                "a page",
                [
                    {
                        "id": _REPLY["log_id"],
                        "logged_at": _REPLY["timestamp"],
                        **_ENTRY,
                        "profile": "default",
                        "cost": 0.00024,
                        "cost_source": "registry",
                        "latency_ms": None,
                        "metadata": {},
                        "conversation_id": None,
                        "id_at_origin": None,
                    }
                ],
            )
        ],
    )
    def get(self, request):
        body, headers = listing.logs(request.auth, request.META["QUERY_STRING"])
        return Response(body, headers=headers)


class ExportView(APIView):
    @extend_schema(
        tags=["usage"],
        summary="Export logs, oldest first, as a stream",
        parameters=[ExportQuery],
        responses={(200, "application/x-ndjson"): str, (200, "text/csv"): str},
    )
    def get(self, request):
        query, window, labels = read_query(ExportQuery, request.META["QUERY_STRING"])
        content_type, serialize = export.FORMATS[query["format"]]
        chunks = export.chunks(request.auth, window, labels)
        response = StreamingHttpResponse(serialize(chunks), content_type=content_type)
        response["Content-Disposition"] = f'attachment; filename="usage-logs.{query["format"]}"'
        return response
