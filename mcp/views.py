"""MCP servers, their tools, resources and prompts, and the executions of tools."""

from functools import partial

from django.db import transaction
from django.http import Http404
from django.utils.functional import cached_property
from rest_framework.decorators import action
from rest_framework.pagination import BasePagination
from rest_framework.response import Response

from core.errors import InvalidInput
from core.idempotency import IDEMPOTENCY_KEY, idempotent, idempotent_call
from core.viewsets import ListMixin, RetrieveMixin, ScopedModelViewSet
from mcp import (
    background_refresh,
    credentials,
    execution,
    models,
    registration,
    schemas,
    server_content,
    server_refresh,
)
from mcp.cancellation import cancelled_with_client

SERVER_FAILED = {502: "The MCP server does not answer, or not as it should"}


class ServerViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    queryset = models.Server.objects.order_by("-id")
    reply = schemas.Server
    bodies = {
        "create": schemas.NewServer,
        "update": schemas.ServerChanges,
        "partial_update": schemas.ServerChanges,
        "refresh": schemas.RefreshLists,
    }
    headers = {"create": [IDEMPOTENCY_KEY], "refresh": [IDEMPOTENCY_KEY]}
    queries = {"list": schemas.ServersQuery}
    replies = {"destroy": schemas.DeletedServer, "refresh": schemas.RefreshedServer}
    errors = {"refresh": SERVER_FAILED}
    filters = {"is_active": "is_active"}
    lookup_url_kwarg = "server_id"
    not_found = "Server not found"
    tags = ["mcp"]

    @cached_property
    def body(self):
        try:
            return super().body
        except InvalidInput as error:
            raise credentials.redact(error) from None

    def list(self, request):
        """List MCP servers, newest first"""
        return super().list(request)

    def retrieve(self, request, server_id):
        """Get an MCP server"""
        return super().retrieve(request)

    @idempotent
    def create(self, request):
        """Register an MCP server

        Its tools, resources and prompts are read in the background as soon as it is
        registered. Secrets are encrypted, and masked in replies.
        """
        server = registration.register(request.auth, self.body.sent())
        transaction.on_commit(partial(background_refresh.schedule, server))
        return Response(self.represent(server))

    def update(self, request, server_id):
        """Change an MCP server

        Members that are sent change; null leaves them unchanged, `{}` clears an object. A
        masked secret that is sent back stays unchanged. When the address moves to another
        host, the secrets have to be sent again.
        """
        return Response(self.represent(registration.change(self.get_object(), self.body.sent())))

    def partial_update(self, request, server_id):
        """Change an MCP server (the same as PUT)"""
        return self.update(request, server_id)

    def destroy(self, request, server_id):
        """Delete an MCP server, with its tools and their history"""
        registration.delete(self.get_object())
        return Response({"message": "Server deleted successfully"})

    @action(detail=True, methods=["post"])
    def refresh(self, request, server_id):
        """Refresh the tools, resources and prompts of an MCP server

        Lists in the body replace the stored items. Without any, the server is asked.
        Items keep their ids; missing ones become inactive.
        """
        once = idempotent_call if self.body.is_empty else idempotent
        return once(ServerViewSet._refresh)(self, request, server_id=server_id)

    def _refresh(self, request, server_id):
        server = self.get_object()
        if self.body.is_empty:
            server = server_refresh.refresh(server)
        else:
            server = server_refresh.replace(server, self.body)
        items = {
            kind: list(getattr(server, kind).filter(is_active=True).select_related("server"))
            for kind in ("tools", "resources", "prompts")
        }
        return Response(self.represent({"server": server, **items}, schemas.RefreshedServer))


class ItemViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    """Active items by name; `server_id` narrows the list."""

    queries = {"list": schemas.ItemsQuery}
    filters = {"is_active": "is_active", "server_id": "server_id"}
    tags = ["mcp"]


class ToolViewSet(ItemViewSet):
    queryset = models.Tool.objects.select_related("server")
    reply = schemas.Tool
    bodies = {
        "create": schemas.NewTool,
        "execute": schemas.ExecutionRequest,
        "accept": schemas.Acceptance,
    }
    headers = {operation: [IDEMPOTENCY_KEY] for operation in bodies}
    queries = {"list": schemas.ItemsQuery, "history": schemas.HistoryQuery}
    replies = {"execute": schemas.Execution, "history": list[schemas.Execution]}
    errors = {"create": {404: "Server not found"}}
    lookup_url_kwarg = "tool_id"
    not_found = "Tool not found"

    def list(self, request):
        """List tools with their servers, by name"""
        return super().list(request)

    def retrieve(self, request, tool_id):
        """Get a tool"""
        return super().retrieve(request)

    @idempotent
    def create(self, request):
        """Add a tool to an MCP server"""
        servers = models.Server.objects.for_caller(request.auth)
        server = servers.filter(id=self.body.server_id).first()
        if server is None:
            raise Http404("Server not found")
        columns = self.body.model_dump(exclude={"server_id"}, exclude_unset=True)
        return Response(self.represent(registration.add_tool(request.auth, server, columns)))

    @action(detail=True, methods=["post"])
    def execute(self, request, tool_id):
        """Execute a tool, or record its execution

        With `output`, `error` or `duration_ms` the client made the call, and it is only
        recorded. Otherwise it is made now, over the server's transport. If the tool or its
        server fails, `error` has the reason, and the reply is still 200.
        """
        once = idempotent if self.body.is_report else idempotent_call
        return once(ToolViewSet._execute)(self, request, tool_id=tool_id)

    def _execute(self, request, tool_id):
        tool = self.get_object()
        with cancelled_with_client(request):
            made = execution.execute_or_record(request.auth, tool, self.body)
        return Response(self.represent(made, schemas.Execution))

    @action(detail=True, methods=["post"])
    @idempotent
    def accept(self, request, tool_id):
        """Accept the current definition of a tool

        A tool whose definition changed since it was first seen is marked `changed`; where
        tools are pinned, it is not executed until it is accepted.
        """
        tool = self.get_object()
        registration.accept(tool, reviewed=self.body.fingerprint)
        return Response(self.represent(tool))

    @action(detail=True, methods=["get"], pagination_class=None)
    def history(self, request, tool_id):
        """List the executions of a tool, newest first

        A page with large results ends early; `X-Next-Cursor` continues it.
        """
        executions = models.ToolExecution.objects.for_caller(request.auth)
        page = ExecutionPagination()
        rows = page.paginate_queryset(executions.filter(tool=self.get_object()), request, self)
        return page.get_paginated_response([self.represent(row, schemas.Execution) for row in rows])


class ResourceViewSet(ItemViewSet):
    queryset = models.Resource.objects.select_related("server")
    reply = schemas.Resource
    replies = {"content": schemas.ResourceContent}
    errors = {"content": SERVER_FAILED}
    lookup_url_kwarg = "resource_id"
    not_found = "Resource not found"

    def list(self, request):
        """List resources by URI"""
        return super().list(request)

    def retrieve(self, request, resource_id):
        """Get a resource"""
        return super().retrieve(request)

    @action(detail=True, methods=["get"])
    def content(self, request, resource_id):
        """Read a resource from its server"""
        with cancelled_with_client(request):
            content = server_content.read_content(self.get_object())
        return Response(self.represent(content, schemas.ResourceContent))


class PromptViewSet(ItemViewSet):
    queryset = models.Prompt.objects.select_related("server")
    reply = schemas.Prompt
    bodies = {"render": schemas.PromptArguments}
    replies = {"render": schemas.RenderedPrompt}
    errors = {"render": SERVER_FAILED}
    lookup_url_kwarg = "prompt_id"
    not_found = "Prompt not found"

    def list(self, request):
        """List prompts by name"""
        return super().list(request)

    def retrieve(self, request, prompt_id):
        """Get a prompt"""
        return super().retrieve(request)

    @action(detail=True, methods=["post"])
    def render(self, request, prompt_id):
        """Render a prompt on its server

        The body is the map of arguments; `{"arguments": {…}}` is understood too, unless the
        prompt has an argument of that name.
        """
        with cancelled_with_client(request):
            rendering = server_content.render(self.get_object(), self.body.root)
        return Response(self.represent(rendering, schemas.RenderedPrompt))


class ExecutionPagination(BasePagination):
    """Pages of limited size in bytes; the header `X-Next-Cursor` continues them."""

    next_cursor = None

    def paginate_queryset(self, queryset, request, view=None):
        query = view.query
        rows, self.next_cursor = queryset.page(limit=query.limit, cursor=query.cursor)
        return rows

    def get_paginated_response(self, data):
        headers = {"X-Next-Cursor": str(self.next_cursor)} if self.next_cursor else {}
        return Response(data, headers=headers)


class ExecutionViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    """Executions of all tools, newest first."""

    queryset = models.ToolExecution.objects.order_by("-id")
    reply = schemas.Execution
    queries = {"list": schemas.ExecutionsQuery}
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
