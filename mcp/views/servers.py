"""Registered servers."""

from functools import partial

from django.db import transaction
from django.utils.functional import cached_property
from rest_framework.decorators import action
from rest_framework.response import Response

from core.errors import InvalidInput
from core.idempotency import IDEMPOTENCY_KEY, idempotent, idempotent_call
from core.viewsets import ListMixin, RetrieveMixin, ScopedModelViewSet
from mcp import background_refresh, credential_masks, registration, server_refresh
from mcp.models import Server
from mcp.schemas import servers as schemas
from mcp.schemas.refreshing import RefreshedServer, RefreshLists

SERVER_FAILED = {502: "The MCP server does not answer, or not as it should"}


class ServerViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    queryset = Server.objects.order_by("-id")
    reply = schemas.Server
    bodies = {
        "create": schemas.NewServer,
        "update": schemas.ServerChanges,
        "partial_update": schemas.ServerChanges,
        "refresh": RefreshLists,
    }
    headers = {"create": [IDEMPOTENCY_KEY], "refresh": [IDEMPOTENCY_KEY]}
    queries = {"list": schemas.ServersQuery}
    replies = {"destroy": schemas.DeletedServer, "refresh": RefreshedServer}
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
            raise credential_masks.redact(error) from None

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
        once = self._read_again if self.body.is_empty else self._replace_lists
        return once(request, server_id=server_id)

    @idempotent_call
    def _read_again(self, request, server_id):
        return self._refreshed(server_refresh.refresh(self.get_object()))

    @idempotent
    def _replace_lists(self, request, server_id):
        return self._refreshed(server_refresh.replace(self.get_object(), self.body))

    def _refreshed(self, server):
        items = {
            kind: list(getattr(server, kind).filter(is_active=True).select_related("server"))
            for kind in ("tools", "resources", "prompts")
        }
        return Response(self.represent({"server": server, **items}, RefreshedServer))
