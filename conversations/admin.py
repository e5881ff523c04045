from django.contrib import admin
from unfold.contrib.filters.admin import FieldTextFilter, RangeDateTimeFilter

from accounts.admin.links import OwnerLinks
from accounts.api_keys import is_id
from conversations import chat, search
from conversations.models import Conversation, Message
from core.admin import ReadOnlyAdmin
from core.admin_display import admin_link, list_link, pretty_json
from core.number_formats import exact, right


@admin.register(Conversation)
class ConversationAdmin(OwnerLinks, ReadOnlyAdmin):
    """Conversations to read as a chat. What the privacy level hides was never stored."""

    list_display = [
        "__str__",
        "model_alias",
        "origin",
        "message_count",
        "total_input_tokens",
        "total_output_tokens",
        "cost_text",
        "created_at",
    ]
    list_filter = [
        ("created_at", RangeDateTimeFilter),
        ("model_alias", FieldTextFilter),
        ("origin", FieldTextFilter),
        ("project_label", FieldTextFilter),
    ]
    list_filter_submit = True
    ordering = ["-created_at"]
    search_ids = ("id", "project_id", "api_key_id", "template_id")
    search_help_text = "Words of titles and messages; an id of a conversation, project or key."
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("title", "model_alias"),
                    ("message_count", "cost_text"),
                    ("total_input_tokens", "total_output_tokens"),
                    ("created_at", "last_message_at"),
                    ("calls", "executions"),
                    "system_prompt",
                ]
            },
        ),
        (
            "More",
            {
                "classes": ["collapse"],
                "fields": [
                    ("temperature", "max_tokens"),
                    ("origin", "profile"),
                    ("project", "api_key"),
                    ("project_label", "template"),
                    "updated_at",
                ],
            },
        ),
    ]
    readonly_fields = ["cost_text", "project", "api_key", "template", "calls", "executions"]
    change_form_after_template = "conversations/chat.html"

    @admin.display(description="cost (USD)", ordering="total_cost")
    def cost_text(self, conversation: Conversation) -> str:
        return right(exact(conversation.total_cost))

    @admin.display(description="template")
    def template(self, conversation: Conversation) -> str:
        return admin_link(
            conversation, "templates_app.conversationtemplate", conversation.template_id
        )

    @admin.display(description="calls")
    def calls(self, conversation: Conversation) -> str:
        return list_link(conversation, "usage.usagelog", {"q": conversation.id}, "Its logged calls")

    @admin.display(description="tool executions")
    def executions(self, conversation: Conversation) -> str:
        return list_link(
            conversation, "mcp.toolexecution", {"q": conversation.id}, "Its tool executions"
        )

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if is_id(term):
            return super().get_search_results(request, queryset, search_term)
        return (search.matching(queryset, term) if term else queryset), False

    def change_view(self, request, object_id, form_url="", extra_context=None):
        context = {"chat": None, **(extra_context or {})}
        if conversation := self.get_object(request, object_id):
            messages = Message.objects.filter(
                project_id=conversation.project_id, conversation=conversation
            )
            positions = {name: _position(request, name) for name in ("before", "after")}
            context["chat"] = chat.page(messages, **positions)
        return super().change_view(request, object_id, form_url, context)


def _position(request, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@admin.register(Message)
class MessageAdmin(OwnerLinks, ReadOnlyAdmin):
    list_display = [
        "timestamp",
        "role",
        "excerpt",
        "input_tokens",
        "output_tokens",
        "conversation_link",
    ]
    list_filter = ["role"]
    ordering = ["-id"]
    search_ids = ("id", "conversation_id")
    search_texts = ("receipt_id",)
    search_help_text = "An id of a message or conversation, or of a message's receipt."
    exclude = [
        "project_id",
        "api_key_id",
        "conversation",
        "tool_calls",
        "tool_results",
        "extra",
        "metadata",
        "content_parts",
    ]
    readonly_fields = [
        "project",
        "api_key",
        "conversation_link",
        "parts_json",
        "tool_calls_json",
        "tool_results_json",
        "extra_json",
        "metadata_json",
    ]

    @admin.display(description="text")
    def excerpt(self, message: Message) -> str:
        text = message.content
        if text is not None:
            return text if len(text) <= 80 else f"{text[:80]}…"
        if message.content_parts:
            return "(parts)"
        if message.content_hash:
            return "(not stored)"
        return "(tool calls)" if message.tool_calls else "(none)"

    @admin.display(description="conversation")
    def conversation_link(self, message: Message) -> str:
        return admin_link(message, "conversations.conversation", message.conversation_id)

    @admin.display(description="parts")
    def parts_json(self, message: Message) -> str:
        return pretty_json(message.content_parts)

    @admin.display(description="tool calls")
    def tool_calls_json(self, message: Message) -> str:
        return pretty_json(message.tool_calls)

    @admin.display(description="tool results")
    def tool_results_json(self, message: Message) -> str:
        return pretty_json(message.tool_results)

    @admin.display(description="of the provider")
    def extra_json(self, message: Message) -> str:
        return pretty_json(message.extra)

    @admin.display(description="metadata")
    def metadata_json(self, message: Message) -> str:
        return pretty_json(message.metadata)
