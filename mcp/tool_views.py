from drf_spectacular.utils import OpenApiResponse
from rest_framework.response import Response
from rest_framework.views import APIView

from mcp import examples, execution, registration
from mcp.models import Origin, Server, Tool, ToolExecution
from mcp.routes import NOT_FOUND, documented, entry_of, in_path, optional_entry_of, row_of, rows_of
from mcp.serializers import (
    AcceptSerializer,
    ExecutionEntrySerializer,
    ExecutionSerializer,
    HistoryQuery,
    ItemsQuery,
    ToolEntrySerializer,
    ToolSerializer,
)


class ToolsView(APIView):
    @documented(
        "Add a tool to an MCP server",
        request=ToolEntrySerializer,
        entry=examples.TOOL_ENTRY,
        reply=ToolSerializer,
        example=examples.TOOL,
        others={404: NOT_FOUND, 409: OpenApiResponse(description="It has a tool of this name.")},
    )
    def post(self, request):
        entry = entry_of(request, ToolEntrySerializer)
        server = row_of(Server, request, str(entry.pop("server_id")), "server_id")
        return Response(ToolSerializer(registration.add_tool(request.auth, server, entry)).data)

    @documented(
        "List tools with their servers, by name",
        parameters=[ItemsQuery],
        reply=ToolSerializer(many=True),
        example=examples.TOOL,
    )
    def get(self, request):
        return Response(ToolSerializer(rows_of(Tool, request), many=True).data)


class ToolView(APIView):
    @documented(
        "Get a tool",
        parameters=[in_path("tool_id")],
        reply=ToolSerializer,
        example=examples.TOOL,
        others={404: NOT_FOUND},
    )
    def get(self, request, tool_id):
        return Response(ToolSerializer(row_of(Tool, request, tool_id, "tool_id")).data)


class ExecuteView(APIView):
    @documented(
        "Execute a tool, or record its execution",
        description="With `output`, `error` or `duration_ms` the call was made by the client, "
        "and is recorded. Otherwise it is made now, over the server's transport. What fails "
        "there is in `error`, and the reply is still 200.",
        parameters=[in_path("tool_id")],
        request=ExecutionEntrySerializer,
        entry=examples.EXECUTION_ENTRY,
        reply=ExecutionSerializer,
        example=examples.EXECUTION,
        others={
            404: NOT_FOUND,
            409: OpenApiResponse(description="The tool has changed since it was accepted."),
            503: OpenApiResponse(description="Too many calls are under way."),
        },
    )
    def post(self, request, tool_id):
        tool = row_of(Tool, request, tool_id, "tool_id")
        entry = entry_of(request, ExecutionEntrySerializer)
        conversation_id = entry.get("conversation_id")
        if conversation_id is not None:
            execution.check_conversation(request.auth, conversation_id)
        reported = [entry.get(name) for name in ("output", "error", "duration_ms")]
        options = {"conversation_id": conversation_id}
        if all(value is None for value in reported):
            made = execution.execute(
                request.auth, tool, entry["input"], origin=Origin.EXECUTED, **options
            )
        else:
            output, error, duration_ms = reported
            outcome = execution.Outcome(output=output, error=error, duration_ms=duration_ms)
            made = execution.record(
                request.auth, tool, entry["input"], outcome, origin=Origin.RECORDED, **options
            )
        return Response(ExecutionSerializer(made).data)


class AcceptView(APIView):
    @documented(
        "Accept a tool as it is now",
        description="A tool that changed since it was first seen is marked `changed`; where "
        "tools are pinned, it is not executed until it is accepted.",
        parameters=[in_path("tool_id")],
        request=AcceptSerializer,
        entry={"fingerprint": examples.TOOL["fingerprint"]},
        reply=ToolSerializer,
        example=examples.TOOL,
        others={404: NOT_FOUND, 409: OpenApiResponse(description="It has changed again.")},
    )
    def post(self, request, tool_id):
        tool = row_of(Tool, request, tool_id, "tool_id")
        seen = optional_entry_of(request, AcceptSerializer).get("fingerprint")
        registration.accept(tool, seen=seen)
        return Response(ToolSerializer(tool).data)


class HistoryView(APIView):
    @documented(
        "List the executions of a tool, the newest first",
        description="A page with large results ends early; `X-Next-Cursor` continues it.",
        parameters=[in_path("tool_id"), HistoryQuery],
        reply=ExecutionSerializer(many=True),
        example=examples.EXECUTION,
        others={404: NOT_FOUND},
    )
    def get(self, request, tool_id):
        tool = row_of(Tool, request, tool_id, "tool_id")
        executions = ToolExecution.objects.for_caller(request.auth).filter(tool=tool)
        rows, cursor = executions.page(**{"cursor": None, **HistoryQuery.read(request)})
        headers = {"X-Next-Cursor": str(cursor)} if cursor else {}
        return Response(ExecutionSerializer(rows, many=True).data, headers=headers)
