from drf_spectacular.types import OpenApiTypes
from rest_framework.response import Response
from rest_framework.views import APIView

from mcp import background_refresh, examples, registration, server_refresh
from mcp.models import Server
from mcp.routes import FAILED, NOT_FOUND, documented, entry_of, in_path, optional_entry_of, row_of
from mcp.serializers import (
    RefreshedSerializer,
    RefreshSerializer,
    ServerChangesSerializer,
    ServerEntrySerializer,
    ServerSerializer,
    ServersQuery,
)


class ServersView(APIView):
    @documented(
        "Register an MCP server",
        description="It is asked for its tools, resources and prompts as soon as it is "
        "registered; `refresh` does so again. Secrets are kept sealed and shown masked.",
        request=ServerEntrySerializer,
        entry=examples.SERVER_ENTRY,
        reply=ServerSerializer,
        example=examples.SERVER,
    )
    def post(self, request):
        server = registration.register(request.auth, entry_of(request, ServerEntrySerializer))
        background_refresh.schedule(server)
        return Response(ServerSerializer(server).data)

    @documented(
        "List MCP servers, the newest first",
        parameters=[ServersQuery],
        reply=ServerSerializer(many=True),
        example=examples.SERVER,
    )
    def get(self, request):
        active = ServersQuery.read(request)["is_active"]
        servers = Server.objects.for_caller(request.auth).filter(is_active=active)
        return Response(ServerSerializer(servers, many=True).data)


_ABOUT_CHANGES = (
    "Members given are changed; null leaves them as they are, `{}` clears an object. A masked "
    "secret that is sent back stays what it was. When the address moves to another host, the "
    "secrets have to be sent again."
)


class ServerView(APIView):
    @documented(
        "Get an MCP server",
        parameters=[in_path("server_id")],
        reply=ServerSerializer,
        example=examples.SERVER,
        others={404: NOT_FOUND},
    )
    def get(self, request, server_id):
        return Response(ServerSerializer(row_of(Server, request, server_id, "server_id")).data)

    @documented(
        "Change an MCP server",
        description=_ABOUT_CHANGES,
        parameters=[in_path("server_id")],
        request=ServerChangesSerializer,
        entry={"is_active": False},
        reply=ServerSerializer,
        example={**examples.SERVER, "is_active": False},
        others={404: NOT_FOUND},
    )
    def put(self, request, server_id):
        return self._change(request, server_id)

    @documented(
        "Change an MCP server (the same as PUT)",
        description=_ABOUT_CHANGES,
        parameters=[in_path("server_id")],
        request=ServerChangesSerializer,
        entry={"name": "adder"},
        reply=ServerSerializer,
        example={**examples.SERVER, "name": "adder"},
        others={404: NOT_FOUND},
    )
    def patch(self, request, server_id):
        return self._change(request, server_id)

    @documented(
        "Delete an MCP server, with its tools and their history",
        parameters=[in_path("server_id")],
        reply=OpenApiTypes.OBJECT,
        example=examples.DELETED,
        others={404: NOT_FOUND},
    )
    def delete(self, request, server_id):
        registration.delete(row_of(Server, request, server_id, "server_id"))
        return Response(examples.DELETED)

    def _change(self, request, server_id):
        server = row_of(Server, request, server_id, "server_id")
        changes = entry_of(request, ServerChangesSerializer)
        return Response(ServerSerializer(registration.change(server, changes)).data)


class RefreshView(APIView):
    @documented(
        "Refresh what an MCP server offers",
        description="With any of the lists: they replace what is stored. Without: the server "
        "itself is asked. Items keep their ids; what is gone is switched off.",
        parameters=[in_path("server_id")],
        request=RefreshSerializer,
        entry=examples.REFRESH,
        reply=RefreshedSerializer,
        example=examples.REFRESHED,
        others={404: NOT_FOUND, 502: FAILED},
    )
    def post(self, request, server_id):
        server = row_of(Server, request, server_id, "server_id")
        given = optional_entry_of(request, RefreshSerializer)
        if any(given.get(kind) is not None for kind in ("tools", "resources", "prompts")):
            server = server_refresh.replace(server, given)
        else:
            server = server_refresh.refresh(server)
        items = {
            kind: getattr(server, kind).filter(is_active=True).select_related("server")
            for kind in ("tools", "resources", "prompts")
        }
        return Response(RefreshedSerializer({"server": server, **items}).data)
