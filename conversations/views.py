from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.permissions import Action
from conversations import calls, endpoints, payloads, retention, search, services, storage, transfer
from conversations.calls import IssueReceipt
from conversations.models import Conversation as StoredConversation
from conversations.schemas.calls import LoggedCall, LoggedCallReply
from conversations.schemas.conversations import (
    Conversation,
    ConversationChanges,
    ConversationDetail,
    ConversationsQuery,
    NewConversation,
    OpenQuery,
)
from conversations.schemas.imports import ImportResult
from conversations.schemas.messages import (
    DeletedMessages,
    Message,
    MessageBatch,
    MessagesQuery,
    NewMessage,
    RetentionQuery,
)
from core import bridge
from core.idempotency import IDEMPOTENCY_KEY, idempotent
from core.paths import uuid_in_path
from core.views import SchemaView
from core.viewsets import ScopedModelViewSet
from registry_proxy import pricing
from templates_app.schemas import Deletion

TAGS = ["conversations"]
NDJSON = "application/x-ndjson"
DELETED = {"message": "Conversation deleted successfully"}


class ConversationViewSet(ScopedModelViewSet):
    queryset = StoredConversation.objects.all()
    not_found = payloads.NOT_FOUND
    lookup_url_kwarg = "conversation_id"
    tags = TAGS
    reply = Conversation
    access = dict.fromkeys(("create", "append_message", "append_batch"), Action.LOG)
    bodies = {
        "create": NewConversation,
        "partial_update": ConversationChanges,
        "append_message": NewMessage,
        "append_batch": MessageBatch,
        "import_lines": {NDJSON: str},
    }
    errors = {"create": {404: "Template not found"}}
    queries = {
        "list": ConversationsQuery,
        "retrieve": OpenQuery,
        "messages": MessagesQuery,
        "old_messages": RetentionQuery,
    }
    replies = {
        "retrieve": ConversationDetail,
        "destroy": Deletion,
        "messages": list[Message],
        "append_message": Message,
        "append_batch": list[Message],
        "old_messages": DeletedMessages,
        "export_all": {NDJSON: str},
        "export": {NDJSON: str},
        "import_lines": ImportResult,
    }
    samples = {
        "import_lines": {
            NDJSON: '{"id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "title": "A parser", '
            '"created_at": "2026-01-02T03:04:05Z", "messages": [{"role": "user", '
            '"content": "What is a grammar?", "timestamp": "2026-01-02T03:04:05Z"}]}\n'
        }
    }
    headers = {
        name: [IDEMPOTENCY_KEY]
        for name in ("create", "append_message", "append_batch", "import_lines")
    }
    filters = {
        "project_id": "project_label",
        "origin": "origin",
        "model_alias": "model_alias",
    }

    @property
    def _id(self) -> UUID:
        return uuid_in_path(self.kwargs["conversation_id"], "conversation_id")

    def list(self, request):
        """List conversations, most recently changed first"""
        query = self.query
        if not settings.CONVERSATION_TRACKING:
            return Response([])
        own = self.filter_queryset(self.get_queryset())
        if query.q is None:
            page = own[query.offset : query.offset + query.limit]
        else:
            page = search.page(
                own,
                query.q,
                project_id=request.auth.project_id,
                limit=query.limit,
                offset=query.offset,
            )
        rows = page.values_list(*payloads.CONVERSATION_COLUMNS.values())
        return Response(payloads.conversation_payloads(rows))

    @idempotent
    def create(self, request):
        """Create a conversation"""
        return Response(bridge.run(services.create_conversation(request.auth, self.body)))

    def retrieve(self, request, conversation_id):
        """Get a conversation with its newest messages, oldest first"""
        return Response(endpoints.open_conversation(request.auth, conversation_id, self.query))

    def partial_update(self, request, conversation_id):
        """Change a conversation

        Members that are sent change. Null clears `title`, `system_prompt` and
        `max_tokens`, and leaves the others unchanged.
        """
        id, changes = self._id, self.body.columns()
        with transaction.atomic(), connection.cursor() as cursor:
            storage.change(cursor, request.auth, id, changes)
            return Response(payloads.read_conversation(cursor, request.auth, id))

    def destroy(self, request, conversation_id):
        """Delete a conversation and its messages"""
        retention.delete_conversation(request.auth, self._id)
        return Response(DELETED)

    @action(detail=True)
    def messages(self, request, conversation_id):
        """List messages, oldest first"""
        id, query = self._id, self.query
        with connection.cursor() as cursor:
            payloads.read_conversation(cursor, request.auth, id)
            page = payloads.read_page(
                cursor, request.auth, id, limit=query.limit, offset=query.offset
            )
        return Response(page)

    @messages.mapping.post
    @idempotent
    def append_message(self, request, conversation_id):
        """Append one message

        At privacy level `none` the reply's `id` is null. For a `message_id` that already
        exists, the reply is the stored message.
        """
        return Response(
            bridge.run(endpoints.append_message(request.auth, conversation_id, self.body))
        )

    @action(detail=True, methods=["post"], url_path="messages/batch")
    @idempotent
    def append_batch(self, request, conversation_id):
        """Append messages, all or none

        The body may be a bare list of messages.
        """
        return Response(endpoints.append_batch(request.auth, conversation_id, self.body))

    @action(detail=False, methods=["delete"], url_path="old-messages")
    def old_messages(self, request):
        """Delete your messages older than a number of days"""
        days = self.query.retention_days or settings.MESSAGE_RETENTION_DAYS
        deleted = sum(retention.prune(days, now=timezone.now(), caller=request.auth))
        return Response({"deleted_count": deleted, "retention_days": days})

    @action(detail=False, url_path="export")
    def export_all(self, request):
        """Export all conversations as a stream

        NDJSON: a line for each conversation, with all its messages.
        """
        return _download(transfer.export_lines(request.auth), "conversations")

    @action(detail=True)
    def export(self, request, conversation_id):
        """Export one conversation"""
        id = self._id
        with connection.cursor() as cursor:
            payloads.read_conversation(cursor, request.auth, id)
        return _download(transfer.export_lines(request.auth, only=id), f"conversation-{id}")

    @action(detail=False, methods=["post"], url_path="import")
    @idempotent
    def import_lines(self, request):
        """Import an export, all or nothing

        Conversations that you already have are skipped.
        """
        return Response(transfer.import_lines(request.auth, request.body))


def _download(lines, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type=NDJSON)
    response["Content-Disposition"] = f'attachment; filename="{name}.ndjson"'
    return response


class CallView(SchemaView):
    # Returns what issues receipts of calls, or None while nothing signs. Bound in the URL map:
    # receipts are issued by a higher layer.
    receipt_issuer: Callable[[], IssueReceipt | None] | None = None
    tags = TAGS
    access = {"post": Action.LOG}
    bodies = {"post": LoggedCall}
    replies = {"post": LoggedCallReply}
    headers = {"post": [IDEMPOTENCY_KEY]}

    @idempotent(before=pricing.load)
    def post(self, request):
        """Log a whole call as a conversation

        Stores the messages sent to a model and its answer. `receipt` is the signed
        receipt of the call if a signing key is configured, else null.
        """
        call = calls.log_call(request.auth, self.body, self.receipt_issuer())
        return Response(bridge.run(call))
