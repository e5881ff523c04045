from django.http import StreamingHttpResponse
from rest_framework.response import Response

from core import bridge
from core.idempotency import IDEMPOTENCY_KEY, checked_idempotency_key
from core.views import SchemaView
from usage import batches, export, ingestion, listing, statistics
from usage.ingestion import OwnedConversations
from usage.schemas import (
    BatchReport,
    ExportedLog,
    ExportQuery,
    Log,
    LogBatch,
    LogEntry,
    LogsQuery,
    Stats,
    StatsQuery,
    StoredLog,
)


class LogView(SchemaView):
    tags = ["usage"]
    bodies = {"post": LogEntry}
    headers = {"post": [IDEMPOTENCY_KEY]}
    replies = {"post": StoredLog}
    owned_conversations: OwnedConversations = None

    def post(self, request):
        """Log one call

        Stores the numbers of a call, never its texts. Answered when it is on disk.
        """
        reply = ingestion.log(
            request.auth,
            self.body,
            owned_conversations=self.owned_conversations,
            idempotency_key=checked_idempotency_key(request.headers.get("Idempotency-Key")),
        )
        return Response(bridge.run(reply))


class LogBatchView(SchemaView):
    tags = ["usage"]
    bodies = {"post": {"application/json": LogBatch, "application/x-ndjson": LogEntry}}
    headers = {"post": [IDEMPOTENCY_KEY]}
    replies = {"post": BatchReport}
    owned_conversations: OwnedConversations = None

    def post(self, request):
        """Log many calls at once

        Up to 5,000 items, as `{"logs": […]}`, as a bare list, or as NDJSON
        (`application/x-ndjson`). Every item has its own result, in the order sent; a bad
        one does not sink the others, and the good ones are stored together or not at all.
        """
        report = batches.log_batch(
            request.auth,
            batches.parse(request.body, request.content_type or ""),
            owned_conversations=self.owned_conversations,
            idempotency_key=checked_idempotency_key(request.headers.get("Idempotency-Key")),
        )
        return Response(report)


class StatsView(SchemaView):
    tags = ["usage"]
    queries = {"get": StatsQuery}
    replies = {"get": Stats}

    def get(self, request):
        """Sums of a window, by period and by label

        Money is decimal text, except in `by_origin`. `date` begins the period.
        """
        return Response(statistics.stats(request.auth, self.query))


class LogsView(SchemaView):
    tags = ["usage"]
    queries = {"get": LogsQuery}
    replies = {"get": list[Log]}

    def get(self, request):
        """List logs, newest first

        `X-Next-Cursor` holds the `cursor` of the next page while there may be one.
        """
        body, headers = listing.logs(request.auth, self.query)
        return Response(body, headers=headers)


class ExportView(SchemaView):
    tags = ["usage"]
    queries = {"get": ExportQuery}
    replies = {"get": {"application/x-ndjson": ExportedLog, "text/csv": str}}

    def get(self, request):
        """Export logs, oldest first, as a stream"""
        query = self.query
        content_type, serialize = export.FORMATS[query.format]
        chunks = export.chunks(request.auth, query)
        response = StreamingHttpResponse(serialize(chunks), content_type=content_type)
        response["Content-Disposition"] = f'attachment; filename="usage-logs.{query.format}"'
        return response
