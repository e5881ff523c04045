from django.conf import settings
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations import (
    calls,
    examples,
    payloads,
    retention,
    search,
    services,
    storage,
    transfer,
)
from conversations.models import Conversation
from conversations.serializers import (
    CallEntrySerializer,
    ConversationChangesSerializer,
    ConversationEntrySerializer,
    ConversationSerializer,
    ConversationsQuery,
    LoggedSerializer,
    MessageBatchSerializer,
    MessageSerializer,
    MessagesQuery,
    OpenedSerializer,
    OpenQuery,
    RetentionQuery,
    SingleMessageSerializer,
)
from core.paths import uuid_in_path

_TAGS = ["conversations"]
_ID = OpenApiParameter("conversation_id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class ConversationsView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Begin a conversation",
        request=ConversationEntrySerializer,
        responses=ConversationSerializer,
        examples=[
            OpenApiExample("a conversation", examples.CONVERSATION_ENTRY, request_only=True),
            OpenApiExample("stored", examples.CONVERSATION, response_only=True),
        ],
    )
    def post(self, request):
        entry = ConversationEntrySerializer.read(request.data, request=request)
        return Response(services.create_conversation(request.auth, entry))

    @extend_schema(
        tags=_TAGS,
        summary="List conversations, the one last changed first",
        parameters=[ConversationsQuery],
        responses=ConversationSerializer(many=True),
        examples=[OpenApiExample("a conversation", examples.CONVERSATION, response_only=True)],
    )
    def get(self, request):
        query = ConversationsQuery.read(request)
        if not settings.CONVERSATION_TRACKING:
            return Response([])
        conversations = Conversation.objects.for_caller(request.auth)
        for name in ("origin", "model_alias"):
            if name in query:
                conversations = conversations.filter(**{name: query[name]})
        if "project_id" in query:
            conversations = conversations.filter(project_label=query["project_id"])
        limit, offset = query["limit"], query["offset"]
        if "q" in query:
            page = search.page(
                conversations,
                query["q"],
                project_id=request.auth.project_id,
                limit=limit,
                offset=offset,
            )
        else:
            page = conversations[offset : offset + limit]
        rows = page.values_list(*payloads.CONVERSATION_COLUMNS.values())
        return Response(payloads.conversation_payloads(rows))


class ConversationView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Open a conversation with its newest messages, oldest first",
        parameters=[_ID, OpenQuery],
        responses=OpenedSerializer,
        examples=[OpenApiExample("opened", examples.OPENED, response_only=True)],
    )
    def get(self, request, conversation_id):
        id = uuid_in_path(conversation_id, "conversation_id")
        query = OpenQuery.read(request)
        with connection.cursor() as cursor:
            limit = query["message_limit"] if query["include_messages"] else 0
            return Response(
                services.open_conversation(cursor, request.auth, id, message_limit=limit)
            )

    @extend_schema(
        tags=_TAGS,
        summary="Change a conversation",
        description="Members given are changed; null clears `title`, `system_prompt` and "
        "`max_tokens`, and leaves the others as they are.",
        parameters=[_ID],
        request=ConversationChangesSerializer,
        responses=ConversationSerializer,
        examples=[
            OpenApiExample("a new title", {"title": "Parsers"}, request_only=True),
            OpenApiExample("changed", examples.CONVERSATION, response_only=True),
        ],
    )
    def patch(self, request, conversation_id):
        id = uuid_in_path(conversation_id, "conversation_id")
        serializer = ConversationChangesSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        with transaction.atomic(), connection.cursor() as cursor:
            storage.change(cursor, request.auth, id, serializer.validated_data)
            return Response(payloads.read_conversation(cursor, request.auth, id))

    @extend_schema(
        tags=_TAGS,
        summary="Delete a conversation and its messages",
        parameters=[_ID],
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample("deleted", examples.DELETED, response_only=True),
        ],
    )
    def delete(self, request, conversation_id):
        id = uuid_in_path(conversation_id, "conversation_id")
        retention.delete_conversation(request.auth, id)
        return Response(examples.DELETED)


class MessagesView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="List messages, oldest first",
        parameters=[_ID, MessagesQuery],
        responses=MessageSerializer(many=True),
        examples=[OpenApiExample("a message", examples.MESSAGE, response_only=True)],
    )
    def get(self, request, conversation_id):
        id = uuid_in_path(conversation_id, "conversation_id")
        query = MessagesQuery.read(request)
        with connection.cursor() as cursor:
            payloads.read_conversation(cursor, request.auth, id)
            return Response(payloads.read_page(cursor, request.auth, id, **query))

    @extend_schema(
        tags=_TAGS,
        summary="Append one message",
        description="At privacy level `none` the reply's `id` is null.",
        parameters=[_ID],
        request=SingleMessageSerializer,
        responses=MessageSerializer,
        examples=[
            OpenApiExample("a message", examples.MESSAGE_ENTRY, request_only=True),
            OpenApiExample("stored", examples.MESSAGE, response_only=True),
        ],
    )
    def post(self, request, conversation_id):
        id = uuid_in_path(conversation_id, "conversation_id")
        entry, level = SingleMessageSerializer.read(request.data, request=request)
        with connection.cursor() as cursor:
            stored = services.append_messages(cursor, request.auth, id, [entry], level)
        return Response(stored[0] if stored else payloads.unstored_message_payload(entry.role, id))


class MessageBatchView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Append messages, all or none",
        description="Also takes a bare list of messages.",
        parameters=[_ID],
        request=MessageBatchSerializer,
        responses=MessageSerializer(many=True),
        examples=[
            OpenApiExample(
                "one message", {"messages": [examples.MESSAGE_ENTRY]}, request_only=True
            ),
            OpenApiExample("stored", examples.MESSAGE, response_only=True),
        ],
    )
    def post(self, request, conversation_id):
        id = uuid_in_path(conversation_id, "conversation_id")
        data = {"messages": request.data} if isinstance(request.data, list) else request.data
        entry = MessageBatchSerializer.read(data, request=request)
        services.check_message_logging()
        with connection.cursor() as cursor:
            return Response(
                services.append_messages(
                    cursor, request.auth, id, entry.messages, entry.logging_level
                )
            )


class CallView(APIView):
    # Returns what issues receipts of calls, or None while nothing signs. Bound in the URL map:
    # receipts are issued by a higher layer.
    receipt_issuer = None

    @extend_schema(
        tags=_TAGS,
        summary="Log a whole call as a conversation",
        description="What was sent to a model and what it answered. `receipt` is the signed "
        "receipt of the call when signing keys are configured, else null.",
        request=CallEntrySerializer,
        responses=LoggedSerializer,
        examples=[
            OpenApiExample("a call", examples.CALL, request_only=True),
            OpenApiExample("stored", examples.LOGGED, response_only=True),
        ],
    )
    def post(self, request):
        entry = CallEntrySerializer.read(request.data, request=request)
        return Response(calls.log_call(request.auth, entry, self.receipt_issuer()))


class OldMessagesView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Delete your messages older than a number of days",
        parameters=[RetentionQuery],
        responses=OpenApiTypes.OBJECT,
        examples=[OpenApiExample("deleted", {"deleted_count": 12, "retention_days": 30})],
    )
    def delete(self, request):
        days = RetentionQuery.read(request).get("retention_days")
        days = days or settings.MESSAGE_RETENTION_DAYS
        deleted = sum(retention.prune(days, now=timezone.now(), caller=request.auth))
        return Response({"deleted_count": deleted, "retention_days": days})


class ExportView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Export all conversations as a stream",
        description="A line for each conversation, with all its messages.",
        responses={(200, "application/x-ndjson"): OpenedSerializer(many=True)},
    )
    def get(self, request):
        return _download(transfer.export_lines(request.auth), "conversations")


class ConversationExportView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Export one conversation",
        parameters=[_ID],
        responses={(200, "application/x-ndjson"): str},
    )
    def get(self, request, conversation_id):
        id = uuid_in_path(conversation_id, "conversation_id")
        with connection.cursor() as cursor:
            payloads.read_conversation(cursor, request.auth, id)
        return _download(transfer.export_lines(request.auth, only=id), f"conversation-{id}")


def _download(lines, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    response["Content-Disposition"] = f'attachment; filename="{name}.ndjson"'
    return response


class ImportView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Import an export, all or nothing",
        description="Conversations that are here already are skipped.",
        request={"application/x-ndjson": str},
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample(
                "imported",
                {"imported": 1, "skipped": 0, "messages": 2},
                response_only=True,
                media_type="application/json",
            )
        ],
    )
    def post(self, request):
        return Response(transfer.import_lines(request.auth, request.body))
