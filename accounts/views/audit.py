"""The audit log, for reading: a project's for owners and admins, a person's for themselves."""

from django.db.models import Q, QuerySet
from rest_framework.response import Response

from accounts.models import AuditEvent
from accounts.permissions import Action
from accounts.schemas import audit as schemas
from accounts.views.base import PersonView
from core.views import SchemaView


class AuditView(SchemaView):
    tags = ["audit"]
    access = {"get": Action.AUDIT}
    queries = {"get": schemas.AuditQuery}
    replies = {"get": list[schemas.AuditReply]}

    def get(self, request):
        """List what changed access to the project, newest first

        For owners and admins, and for keys of scope `all`.
        """
        return Response(
            _page(AuditEvent.objects.filter(project_id=request.auth.project_id), self.query)
        )


class OwnAuditView(PersonView):
    tags = ["audit"]
    queries = {"get": schemas.AuditQuery}
    replies = {"get": list[schemas.AuditReply]}

    def get(self, request):
        """List what you did, and what was tried with your account, newest first"""
        about = Q(user_id=request.user.id) | Q(actor=f"user:{request.user.id}")
        return Response(_page(AuditEvent.objects.filter(about), self.query))


def _page(rows: QuerySet, query) -> list[dict]:
    if query.action is not None:
        rows = rows.filter(action=query.action)
    page = rows.order_by("-id")[query.offset : query.offset + query.limit]
    names = schemas.AuditReply.model_fields
    return [{name: getattr(event, name) for name in names} for event in page]
