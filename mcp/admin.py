from concurrent.futures import ThreadPoolExecutor

from django.contrib import admin, messages
from django.db import connection, transaction
from django.db.models import Count, Model, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import display

from accounts.admin.demo_lists import RealChangeList
from accounts.admin.links import OwnerLinks
from core.admin import ReadOnlyAdmin, RecordAdmin
from core.admin_display import admin_link, list_link, pretty_json
from core.chosen_rows import first_rows
from core.date_filter import DatesFilter
from core.errors import DomainError
from core.number_formats import counted
from mcp import credential_masks, server_refresh
from mcp.models import CHANGED, Prompt, Resource, Server, Tool, ToolExecution

_MAX_REFRESHED = 20  # servers of one action: each may take settings.MCP_TIMEOUT
_DEFINITION_COLORS = {"accepted": "success", "changed": "warning"}
_ITEMS = (Tool, Resource, Prompt)


def _count(model: type) -> Coalesce:
    """Return the number of a server's active items as an expression."""
    rows = model.objects.filter(server=OuterRef("pk"), is_active=True).order_by()
    number = rows.values("server").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(number), 0)


def _json(column: str):
    """Return the display of a JSON column as indented text."""

    @admin.display(description=column.replace("_", " "))
    def pretty(self, row) -> str:
        return pretty_json(getattr(row, column))

    return pretty


def _active_items(kind: str):
    """Return the display of the number of a server's active items of a kind."""

    @admin.display(description=kind)
    def number(self, server) -> int:
        return getattr(server, f"active_{kind}")

    return number


class ActionAdmin(OwnerLinks, ReadOnlyAdmin):
    """Read-only rows, with actions for people who have the change permission."""

    def has_action_permission(self, request) -> bool:
        return request.user.has_perm(f"mcp.change_{self.opts.model_name}")


@admin.register(Server)
class ServerAdmin(ActionAdmin):
    list_display = [
        "name",
        "transport_type",
        "url",
        "is_active",
        "reachable",
        "refreshed_at",
        "tool_count",
        "resource_count",
        "prompt_count",
        "short_error",
    ]
    list_filter = ["transport_type", "is_active", "reachable", ("url", FieldTextFilter)]
    list_filter_submit = True
    ordering = ["-id"]
    search_ids = ("id", "project_id", "api_key_id")
    search_texts = ("name", "url")
    search_help_text = "The exact name or address; an id of a server, project or key."
    fields = [
        ("name", "transport_type"),
        ("url", "is_active"),
        ("prefix", "timeout_seconds"),
        ("first_message", "lists_from"),
        ("reachable", "contacted_at"),
        ("refreshed_at", "next_refresh_at"),
        "protocol_version",
        "last_error",
        "pretty_auth_config",
        "pretty_capabilities",
        "pretty_server_info",
        "pretty_templates",
        ("project", "project_label"),
        ("id", "api_key"),
        ("created_at", "updated_at"),
    ]
    readonly_fields = [
        "id",
        "pretty_auth_config",
        "pretty_capabilities",
        "pretty_server_info",
        "pretty_templates",
        "first_message",
        "lists_from",
        "prefix",
        "next_refresh_at",
        "project",
        "api_key",
        "created_at",
    ]
    actions = ["refresh"]

    tool_count = _active_items("tools")
    resource_count = _active_items("resources")
    prompt_count = _active_items("prompts")
    pretty_capabilities = _json("capabilities")
    pretty_server_info = _json("server_info")
    pretty_templates = _json("resource_templates")

    def get_queryset(self, request):
        # Subqueries: three joins would multiply the rows of each server.
        counts = {f"active_{model._meta.model_name}s": _count(model) for model in _ITEMS}
        return super().get_queryset(request).annotate(**counts)

    @admin.display(description="last error")
    def short_error(self, server) -> str:
        return server.last_error[:80]

    # Neither answer is better, which a green tick and a red cross would say.
    @admin.display(description="first message")
    def first_message(self, server) -> str:
        return "initialize (legacy)" if server.legacy else "server/discover"

    @admin.display(description="lists from")
    def lists_from(self, server) -> str:
        return "the client" if server.has_given_lists else "the server"

    @admin.display(description="credentials")
    def pretty_auth_config(self, server) -> str:
        return pretty_json(credential_masks.masked_config(server.auth_config))

    @admin.action(description="Refresh the selected servers", permissions=["action"])
    def refresh(self, request, queryset) -> None:
        servers = list(first_rows(request, queryset, _MAX_REFRESHED))
        connection.close()  # not held while the servers are waited for
        with ThreadPoolExecutor(len(servers) or 1) as pool:
            outcomes = list(pool.map(_refresh, servers))
        for server in servers:
            self.log_change(request, server, "Refreshed.")
        failed = [outcome for outcome in outcomes if outcome]
        if refreshed := len(servers) - len(failed):
            messages.success(request, f"{counted(refreshed, 'server')} refreshed.")
        for failure in failed:
            messages.error(request, failure)


def _refresh(server: Server) -> str:
    """Refresh the server in a thread of its own, and return the error or an empty string."""
    try:
        server_refresh.refresh(server)
        return ""
    except (DomainError, Http404) as error:
        return f"{server.name}: {error}"
    finally:
        connection.close()


def _link(row: Model, model: type, id: object, text: str) -> str:
    return admin_link(row, f"mcp.{model._meta.model_name}", id, text)


class ItemAdmin(ActionAdmin):
    list_select_related = ["server"]
    search_ids = ("id", "server_id", "project_id")
    ordering = ["-id"]

    @admin.display(description="server", ordering="server")
    def of_server(self, row) -> str:
        return _link(row, Server, row.server_id, row.server.name)


class ChangedFilter(admin.SimpleListFilter):
    title = "changed"
    parameter_name = "changed"

    def lookups(self, request, model_admin):
        return [("yes", "Not accepted")]

    def queryset(self, request, queryset):
        return queryset.filter(CHANGED) if self.value() == "yes" else queryset


@admin.register(Tool)
class ToolAdmin(ItemAdmin):
    list_display = ["name", "of_server", "short_description", "is_active", "definition"]
    list_filter = ["is_active", ChangedFilter]
    search_texts = ("name",)
    search_help_text = "The exact name; an id of a tool, server or project."
    fields = [
        ("name", "offered_name"),
        ("of_server", "is_active"),
        "title",
        "description",
        ("definition", "executions"),
        "pretty_input_schema",
        "pretty_output_schema",
        "pretty_annotations",
        ("fingerprint", "accepted_fingerprint"),
        ("project", "api_key"),
        ("id", "created_at"),
    ]
    readonly_fields = [
        "id",
        "created_at",
        "of_server",
        "definition",
        "pretty_input_schema",
        "pretty_output_schema",
        "pretty_annotations",
        "executions",
        "offered_name",
        "project",
        "api_key",
    ]
    actions = ["accept"]

    pretty_input_schema = _json("input_schema")
    pretty_output_schema = _json("output_schema")
    pretty_annotations = _json("annotations")

    @admin.display(description="description")
    def short_description(self, tool) -> str:
        return (tool.description or "")[:80]

    @display(description="definition", label=_DEFINITION_COLORS)
    def definition(self, tool) -> str:
        return "changed" if tool.is_changed else "accepted"

    @admin.display(description="executions")
    def executions(self, tool) -> str:
        return list_link(tool, "mcp.toolexecution", {"q": tool.id}, "Its executions")

    @admin.action(description="Accept the selected tools as they are now", permissions=["action"])
    def accept(self, request, queryset) -> None:
        tools = list(queryset.filter(CHANGED))
        for tool in tools:
            with transaction.atomic():
                tool.accept()
                self.log_change(request, tool, f"Accepted {tool.fingerprint}.")
        messages.success(request, f"{counted(len(tools), 'tool')} accepted.")


@admin.register(Resource)
class ResourceAdmin(ItemAdmin):
    list_display = ["uri", "name", "mime_type", "of_server", "is_active"]
    list_filter = ["is_active"]
    search_texts = ("uri", "name")
    exclude = ["server", "extra", "project_id", "api_key_id"]
    readonly_fields = ["of_server", "project", "api_key"]


@admin.register(Prompt)
class PromptAdmin(ItemAdmin):
    list_display = ["name", "of_server", "is_active"]
    list_filter = ["is_active"]
    search_texts = ("name",)
    exclude = ["server", "arguments", "extra", "project_id", "api_key_id"]
    readonly_fields = ["of_server", "offered_name", "pretty_arguments", "project", "api_key"]
    pretty_arguments = _json("arguments")


@admin.register(ToolExecution)
class ToolExecutionAdmin(OwnerLinks, RecordAdmin):
    date_hierarchy = "executed_at"
    list_display = [
        "executed_at",
        "of_tool",
        "of_server",
        "origin",
        "duration_ms",
        "error_kind",
        "short_error",
    ]
    list_select_related = ["tool__server"]
    list_filter = [DatesFilter, "origin", "error_kind"]
    list_filter_submit = True
    search_ids = ("id", "tool_id", "project_id", "conversation_id")
    search_help_text = "An id of an execution, tool, project or conversation."
    fields = [
        ("of_tool", "of_server"),
        ("executed_at", "duration_ms"),
        ("origin", "error_kind"),
        "error",
        "pretty_input",
        "pretty_output",
        ("conversation", "size"),
        ("project", "api_key"),
        "id",
    ]
    readonly_fields = [
        "id",
        "api_key",
        "of_tool",
        "of_server",
        "pretty_input",
        "pretty_output",
        "conversation",
        "project",
    ]

    pretty_input = _json("input")
    pretty_output = _json("output")

    def get_changelist(self, request, **kwargs):
        return RealChangeList

    def get_queryset(self, request):
        # A page of outputs may be hundreds of megabytes; only the detail page shows one.
        rows = super().get_queryset(request)
        return rows if request.resolver_match.kwargs.get("object_id") else rows.defer("output")

    @admin.display(description="conversation")
    def conversation(self, execution) -> str:
        return admin_link(execution, "conversations.conversation", execution.conversation_id)

    @admin.display(description="tool")
    def of_tool(self, execution) -> str:
        return _link(execution, Tool, execution.tool_id, execution.tool.name)

    @admin.display(description="server")
    def of_server(self, execution) -> str:
        return _link(execution, Server, execution.tool.server_id, execution.tool.server.name)

    @admin.display(description="error")
    def short_error(self, execution) -> str:
        return (execution.error or "")[:80]
