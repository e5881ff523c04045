"""Projects: made, changed, deactivated; and all their tokens revoked."""

from uuid import UUID

from django.db import transaction
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.models import Project
from gateway import projects, replies
from gateway.schemas.projects import (
    ManagedProject,
    ManagedProjectsQuery,
    NewProject,
    ProjectChanges,
    TokensRevoked,
)
from gateway.views.management import NEXT_PAGE, ManagementViewSet, value_of


class ProjectViewSet(ManagementViewSet):
    queryset = Project.objects.order_by("name", "id")
    lookup_url_kwarg = "project_id"
    not_found = "project not found"
    resource = "project"
    verbs = {
        "create": "create",
        "partial_update": "update",
        "destroy": "delete",
        "revoke_tokens": "revoke_tokens",
    }
    reply = ManagedProject
    bodies = {"create": NewProject, "partial_update": ProjectChanges}
    errors = {
        operation: {409: "An active project has the name"}
        for operation in ("create", "partial_update")
    }
    queries = {"list": ManagedProjectsQuery}
    headers = {"list": [NEXT_PAGE]}
    replies = {
        "create": {201: ManagedProject},
        "destroy": {204: None},
        "revoke_tokens": TokensRevoked,
    }

    def list(self, request):
        """List projects by name

        At most `limit`; the header `Link` has the address of the next page.
        """
        rows = self.get_queryset()
        if self.query.is_active_only:
            rows = rows.filter(archived_at=None)
        return self.listed(rows, replies.projects)

    def retrieve(self, request, project_id):
        """Get a project"""
        return Response(replies.projects([self.get_object()])[0])

    def create(self, request):
        """Create a project"""
        body = self.body
        with transaction.atomic():
            row = projects.create(body.name, body.keys())
            self.record(project_id=row.id, name=row.name, upstreams=[*body.keys()])
        return Response(replies.projects([row])[0], status=201)

    def partial_update(self, request, project_id):
        """Change a project

        `is_active: false` refuses its tokens and API keys within a second.
        """
        row, body = self.get_object(), self.body
        keys = body.keys()
        with transaction.atomic():
            row = projects.change(row, name=body.name, is_active=body.is_active, keys=keys)
            details = {"fields": sorted(body.sent()), "upstreams": [*keys]}
            if body.revoke_tokens:
                details["revoked_count"] = projects.revoke_tokens(row).revoked_count
            self.record(project_id=row.id, **details)
        return Response(replies.projects([row])[0])

    def destroy(self, request, project_id):
        """Deactivate a project and revoke its tokens

        Its usage stays. `is_active: true` takes the project back, not its tokens.
        """
        row = self.get_object()
        with transaction.atomic():
            revoked = projects.archive(row).revoked_count
            self.record(project_id=row.id, revoked_count=revoked)
        return Response(status=204)

    @action(detail=True, methods=["post"], url_path="tokens/revoke")
    def revoke_tokens(self, request, project_id):
        """Revoke all tokens of a project"""
        row = self.get_object()
        with transaction.atomic():
            revocation = projects.revoke_tokens(row)
            revoked = revocation.revoked_count
            self.record(project_id=row.id, revoked_count=revoked)
        return Response(self.represent(revocation, TokensRevoked))

    def subject(self) -> dict:
        return {"project_id": value_of(UUID, self.kwargs.get("project_id"))}
