"""The audit log of all projects, searched."""

from functools import reduce
from ipaddress import ip_address
from operator import or_
from uuid import UUID

from django.db.models import Q
from rest_framework.response import Response

from accounts.models import AuditEvent
from core.viewsets import RetrieveMixin
from gateway.schemas.audit import AuditPage, AuditQuery, AuditRecord
from gateway.views.management import ManagementViewSet, value_of

_SEARCHED = (
    *("request_id", "client_ip", "action", "actor", "method", "path", "user_agent", "reason"),
    "details",
)


class AuditViewSet(RetrieveMixin, ManagementViewSet):
    queryset = AuditEvent.objects.all()
    lookup_url_kwarg = "event_id"
    not_found = "audit event not found"
    resource = "audit"
    reply = AuditRecord
    queries = {"list": AuditQuery}
    replies = {"list": AuditPage}

    def list(self, request):
        """List what changed access, newest first"""
        query = self.query
        rows = _matching(self.get_queryset(), query)
        total, start = rows.count(), (query.page - 1) * query.page_size
        pages = -(-total // query.page_size)
        pagination = {
            "page": query.page,
            "page_size": query.page_size,
            "total_count": total,
            "total_pages": pages,
            "has_next": query.page < pages,
            "has_prev": query.page > 1 and total > 0,
        }
        events = [*rows[start : start + query.page_size]] if start < total else []
        return Response(self.represent({"events": events, "pagination": pagination}, AuditPage))

    def retrieve(self, request, event_id):
        """Get an event"""
        return super().retrieve(request)


def _matching(rows, query: AuditQuery):
    for name in ("action", "outcome", "actor", "request_id", "method", "path"):
        if value := getattr(query, name):
            rows = rows.filter(**{name: value})
    if query.correlation_id:
        rows = rows.filter(request_id=query.correlation_id)
    for name, kind in (("project_id", UUID), ("token_id", UUID), ("client_ip", ip_address)):
        if value := getattr(query, name):
            known = value_of(kind, value)
            rows = rows.none() if known is None else rows.filter(**{name: str(known)})
    if query.start_time:
        rows = rows.filter(at__gte=query.start_time)
    if query.end_time:
        rows = rows.filter(at__lte=query.end_time)
    if query.search:
        rows = rows.filter(
            reduce(or_, (Q(**{f"{name}__icontains": query.search}) for name in _SEARCHED))
        )
    return rows
