"""Tools, resources and prompts."""

from django.http import Http404
from rest_framework.decorators import action
from rest_framework.response import Response

from core.cursors import NEXT_CURSOR
from core.idempotency import IDEMPOTENCY_KEY, idempotent, idempotent_call
from core.viewsets import ListMixin, RetrieveMixin, ScopedModelViewSet
from mcp import execution, registration, server_content
from mcp.cancellation import cancelled_with_client
from mcp.models import Prompt, Resource, Server, Tool, ToolExecution
from mcp.schemas import items as schemas
from mcp.schemas.executions import Execution, ExecutionRequest, HistoryQuery
from mcp.views.executions import ExecutionPagination
from mcp.views.servers import SERVER_FAILED


class ItemViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    """Active items by name; `server_id` narrows the list."""

    queries = {"list": schemas.ItemsQuery}
    filters = {"is_active": "is_active", "server_id": "server_id"}
    tags = ["mcp"]


class ToolViewSet(ItemViewSet):
    queryset = Tool.objects.select_related("server")
    reply = schemas.Tool
    bodies = {
        "create": schemas.NewTool,
        "execute": ExecutionRequest,
        "accept": schemas.Acceptance,
    }
    headers = {operation: [IDEMPOTENCY_KEY] for operation in bodies} | {"history": [NEXT_CURSOR]}
    queries = {"list": schemas.ItemsQuery, "history": HistoryQuery}
    replies = {"execute": Execution, "history": list[Execution]}
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
        servers = Server.objects.for_caller(request.auth)
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
        once = self._record if self.body.is_report else self._call
        return once(request, tool_id=tool_id)

    @idempotent
    def _record(self, request, tool_id):
        recorded = execution.record_report(request.auth, self.get_object(), self.body)
        return Response(self.represent(recorded, Execution))

    @idempotent_call
    def _call(self, request, tool_id):
        tool = self.get_object()
        with cancelled_with_client(request):
            made = execution.execute_request(request.auth, tool, self.body)
        return Response(self.represent(made, Execution))

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
        executions = ToolExecution.objects.for_caller(request.auth)
        page = ExecutionPagination()
        rows = page.paginate_queryset(executions.filter(tool=self.get_object()), request, self)
        return page.get_paginated_response([self.represent(row, Execution) for row in rows])


class ResourceViewSet(ItemViewSet):
    queryset = Resource.objects.select_related("server")
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
    queryset = Prompt.objects.select_related("server")
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
