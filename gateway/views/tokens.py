"""Tokens: issued, changed, revoked."""

from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.utils import timezone
from rest_framework.response import Response

from accounts.models import Project
from gateway import replies, tokens
from gateway.errors import ProjectInactive
from gateway.models import Token
from gateway.schemas.tokens import (
    IssuedToken,
    ManagedToken,
    ManagedTokensQuery,
    NewToken,
    TokenChanges,
)
from gateway.views.management import NEXT_PAGE, ManagementViewSet, value_of
from gateway.views.projects import ProjectViewSet


class TokenViewSet(ManagementViewSet):
    queryset = Token.objects.select_related("allowance")
    lookup_url_kwarg = "token_id"
    not_found = "token not found"
    resource = "token"
    verbs = {"create": "create", "partial_update": "update", "destroy": "revoke"}
    reply = ManagedToken
    bodies = {"create": NewToken, "partial_update": TokenChanges}
    queries = {"list": ManagedTokensQuery}
    headers = {"list": [NEXT_PAGE]}
    replies = {"create": {201: IssuedToken}, "destroy": {204: None}}
    errors = {"create": {404: "Project not found"}}

    def get_object(self) -> Token:
        """Return the token whose id or text the path has. Raises Http404."""
        row = tokens.named(self.kwargs["token_id"])
        if row is None:
            raise Http404(self.not_found)
        return row

    def list(self, request):
        """List tokens, newest first

        At most `limit`; the header `Link` has the address of the next page.
        """
        query, rows = self.query, self.get_queryset()
        if project_id := query.project_id or query.projectId:
            rows = rows.filter(project_id=project_id)
        if query.is_active_only:
            rows = rows.active().filter(project__archived_at=None)
        now = timezone.now()
        return self.listed(rows, lambda page: [replies.token(row, now) for row in page])

    def retrieve(self, request, token_id):
        """Get a token, by its id or its own text"""
        return Response(replies.token(self.get_object(), timezone.now()))

    def create(self, request):
        """Issue a token; its text is in this reply alone"""
        body, now = self.body, timezone.now()
        with transaction.atomic():
            project = Project.objects.select_for_update().filter(pk=body.project_id).first()
            if project is None:
                raise Http404(ProjectViewSet.not_found)
            if project.archived_at:
                raise ProjectInactive("cannot create tokens for inactive projects")
            expires_at = body.expires_at(now)
            row, text = tokens.issue(project, expires_at=expires_at, **body.columns())
            self.record(project_id=project.id, token_id=row.id, name=row.name)
        row.allowance.refresh_from_db()
        return Response({**replies.token(row, now), "token": text}, status=201)

    def partial_update(self, request, token_id):
        """Change a token's limits, expiry or state

        What it has used stays. `is_active: false` revokes it within a second.
        """
        row, body = self.get_object(), self.body
        changes = body.columns()
        if "expires_at" in body.sent():
            changes["expires_at"] = body.expires_at
        with transaction.atomic():
            tokens.change(row, is_active=body.is_active, **changes)
            fields = sorted(body.sent())
            self.record(project_id=row.project_id, token_id=row.id, fields=fields)
            changed = tokens.named(str(row.id))
            if changed is None:  # deleted, with its project, since it was looked up
                raise Http404(self.not_found)
        return Response(replies.token(changed, timezone.now()))

    def destroy(self, request, token_id):
        """Revoke a token, by its id or its own text"""
        row = self.get_object()
        with transaction.atomic():
            tokens.change(row, is_active=False)
            self.record(project_id=row.project_id, token_id=row.id)
        return Response(status=204)

    def subject(self) -> dict:
        return {"token_id": value_of(UUID, self.kwargs.get("token_id"))}
