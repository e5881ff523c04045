from django.http import StreamingHttpResponse
from rest_framework.response import Response

from accounts.permissions import Action
from core import bridge
from core.cursors import NEXT_CURSOR
from core.idempotency import (
    IDEMPOTENCY_KEY,
    checked_idempotency_key,
    idempotency_header,
    idempotent,
)
from core.paths import uuid_in_path
from core.views import SchemaView
from registry_proxy import pricing
from usage import (
    batches,
    corrections,
    day_ranges,
    export,
    filters,
    ingestion,
    listing,
    statistics,
)
from usage.log_rows import OwnedConversations
from usage.query_schemas import ExportQuery, LogsQuery, StatsQuery
from usage.reply_schemas import BatchReport, ExportedLog, Log, Stats, StoredCorrection, StoredLog
from usage.schemas import Correction, LogBatch, LogEntry, Voiding


class LogView(SchemaView):
    tags = ["usage"]
    access = {"post": Action.LOG}
    bodies = {"post": LogEntry}
    headers = {"post": [IDEMPOTENCY_KEY]}
    replies = {"post": StoredLog}
    stores_log = True
    owned_conversations: OwnedConversations = None

    def post(self, request):
        """Log one call

        Stores the numbers of a call, never its texts. The reply is sent when it is on disk.
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
    access = {"post": Action.LOG}
    bodies = {
        "post": {"application/json": LogBatch, "application/x-ndjson": LogEntry, "text/csv": str}
    }
    headers = {
        "post": [
            idempotency_header(
                "A retry with the same key and items stores nothing: they are duplicates in its "
                "reply; other items get 409."
            )
        ]
    }
    replies = {"post": BatchReport}
    samples = {
        "post": {
            "application/x-ndjson": '{"provider": "openai", "model": "gpt-4o-mini", '
            '"input_tokens": 1000, "output_tokens": 200}\n'
            '{"provider": "openai", "model": "gpt-4o-mini", '
            '"input_tokens": 300, "output_tokens": 40, "alias": "fast"}\n',
            "text/csv": "provider,model,input_tokens,output_tokens,alias\r\n"
            "openai,gpt-4o-mini,1000,200,\r\n"
            "openai,gpt-4o-mini,300,40,fast\r\n",
        }
    }
    owned_conversations: OwnedConversations = None

    def post(self, request):
        """Log many calls at once

        Up to 5,000 items, as `{"logs": […]}`, a bare list, NDJSON (`application/x-ndjson`)
        or CSV (`text/csv`). Every item has its own result, in the order sent. Valid items
        are stored together or not at all; invalid ones do not affect them.
        """
        report = batches.log_batch(
            request.auth,
            request.body,
            request.content_type or "",
            owned_conversations=self.owned_conversations,
            idempotency_key=checked_idempotency_key(request.headers.get("Idempotency-Key")),
        )
        return Response(report)


class CorrectView(SchemaView):
    tags = ["usage"]
    bodies = {"post": Correction}
    headers = {"post": [IDEMPOTENCY_KEY]}
    replies = {"post": StoredCorrection}
    owned_conversations: OwnedConversations = None

    @idempotent(before=pricing.load)
    def post(self, request, log_id):
        """Correct a log

        The wrong log stays. A reversal takes its numbers back, and a replacement has the
        new ones. Without new counts, those of the wrong log are priced again.
        """
        id = uuid_in_path(log_id, "log_id")
        reply = corrections.correct(
            request.auth, id, self.body, owned_conversations=self.owned_conversations
        )
        return Response(reply)


class VoidView(SchemaView):
    tags = ["usage"]
    bodies = {"post": Voiding}
    headers = {"post": [IDEMPOTENCY_KEY]}
    replies = {"post": StoredCorrection}

    @idempotent
    def post(self, request, log_id):
        """Take a log back

        The wrong log stays, and a reversal takes its numbers back.
        """
        id = uuid_in_path(log_id, "log_id")
        return Response(corrections.void(request.auth, id, self.body.reason))


class StatsView(SchemaView):
    tags = ["usage"]
    queries = {"get": StatsQuery}
    replies = {"get": Stats}

    def get(self, request):
        """Get the sums of a window, by period and by label

        Money is decimal text, except in `by_origin`. `date` begins the period.
        """
        return Response(statistics.stats(request.auth, self.query))


class LogsView(SchemaView):
    tags = ["usage"]
    queries = {"get": LogsQuery}
    headers = {"get": [NEXT_CURSOR]}
    replies = {"get": list[Log]}

    def get(self, request):
        """List logs, newest first

        `X-Next-Cursor` is the `cursor` of the next page while there may be one.
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
        content_type, chunks = export.FORMATS[query.format]
        selected = filters.in_window_for_pages(request.auth, query)
        portions = [ids._asdict() for ids in day_ranges.portions(request.auth, query)]
        response = StreamingHttpResponse(
            chunks(*selected, portions=portions, is_of_project=True), content_type=content_type
        )
        response["Content-Disposition"] = f'attachment; filename="usage-logs.{query.format}"'
        return response
