"""The management API: projects, their tokens, and the audit log.

Source: docs/gateway.md, section "Management API".
"""

import logging
from collections.abc import Callable, Mapping
from functools import reduce
from ipaddress import ip_address
from operator import or_
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from rest_framework.decorators import action
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response

from accounts import audit
from accounts.admission import Manager
from accounts.authentication import (
    IsManager,
    ManagementSessionAuthentication,
    ManagementTokenAuthentication,
)
from accounts.models import AuditEvent, AuditOutcome, Project
from core.errors import DATABASE_AWAY, DomainError, failure
from core.viewsets import RetrieveMixin, ScopedModelViewSet
from gateway import projects, replies, response_cache, tokens
from gateway.errors import ProjectInactive
from gateway.models import CachedAnswer, Token
from gateway.schemas.audit import AuditPage, AuditQuery, AuditRecord
from gateway.schemas.projects import (
    ManagedProject,
    ManagedProjectsQuery,
    NewProject,
    ProjectChanges,
    TokensRevoked,
)
from gateway.schemas.response_cache import Purge, Purged
from gateway.schemas.tokens import (
    IssuedToken,
    ManagedToken,
    ManagedTokensQuery,
    NewToken,
    TokenChanges,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")
_AUDIT_TEXTS = (
    *("request_id", "client_ip", "action", "actor", "method", "path", "user_agent", "reason"),
    "details",
)


class CacheOff(DomainError):
    code = "caching_disabled"

    def __init__(self) -> None:
        super().__init__("caching is disabled: HTTP_CACHE_ENABLED is off")


class InvalidAddress(DomainError):
    code = "invalid_url"

    def __init__(self) -> None:
        super().__init__("invalid URL")


class ManagementViewSet(ScopedModelViewSet):
    """Rows of all projects, for managers. Each change is recorded, and so is each refused one."""

    authentication_classes = [ManagementTokenAuthentication, ManagementSessionAuthentication]
    permission_classes = [IsManager]
    tags = ["management"]
    resource = ""  # in the audit log's names of actions
    verbs: Mapping[str, str] = {}  # there, of the actions that change something
    manager: Manager | None = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        self.manager = request.auth

    def get_queryset(self):
        return self.queryset.all()

    def handle_exception(self, error):
        if self.manager is not None and self.request.method not in SAFE_METHODS:
            self._record_refusal(error)
        return super().handle_exception(error)

    def record(self, **what) -> None:
        """Record the change that the action makes; in its transaction."""
        audit.record(self._recorded_action, self._origin(), **what)

    @property
    def _recorded_action(self) -> str:
        return f"{self.resource}.{self.verbs.get(self.action) or self.request.method.lower()}"

    def listed(self, rows, represent) -> Response:
        """Return a page of the rows, with a link to the next one if there is one."""
        query = self.query
        page = [*rows[query.offset : query.offset + query.limit + 1]]
        headers = {}
        if len(page) > query.limit:
            parameters = self.request.GET.copy()
            parameters["offset"] = query.offset + query.limit
            headers["Link"] = f'<{self.request.path}?{parameters.urlencode()}>; rel="next"'
        return Response(represent(page[: query.limit]), headers=headers)

    def _origin(self) -> audit.Origin:
        user_id = self.manager.user_id
        actor = f"user:{user_id}" if user_id else audit.MANAGEMENT_TOKEN
        return audit.of_request(self.request._request, actor=actor, user_id=user_id)

    def _record_refusal(self, error: Exception) -> None:
        reply = failure(error)
        status = reply.status if reply else 500
        outcome = AuditOutcome.DENIED if status == 403 else AuditOutcome.FAILURE
        try:
            audit.record(
                self._recorded_action,
                self._origin(),
                outcome=AuditOutcome.ERROR if status >= 500 else outcome,
                reason=reply.code if reply else "internal_error",
                **self.subject(),
            )
        except DATABASE_AWAY:
            logger.error("a refused %s is not recorded: no database", self.action)

    def subject(self) -> dict:
        """Return the columns of the audit log that name what the path does."""
        return {}


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
            projects.change(row, name=body.name, is_active=body.is_active, keys=keys)
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
        return {"project_id": _as(UUID, self.kwargs.get("project_id"))}


class TokenViewSet(ManagementViewSet):
    queryset = Token.objects.select_related("allowance")
    lookup_url_kwarg = "token_id"
    not_found = "token not found"
    resource = "token"
    verbs = {"create": "create", "partial_update": "update", "destroy": "revoke"}
    reply = ManagedToken
    bodies = {"create": NewToken, "partial_update": TokenChanges}
    queries = {"list": ManagedTokensQuery}
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
        headers = {"Cache-Control": "no-store"}
        return Response({**replies.token(row, now), "token": text}, status=201, headers=headers)

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
        return Response(replies.token(tokens.named(str(row.id)), timezone.now()))

    def destroy(self, request, token_id):
        """Revoke a token, by its id or its own text"""
        row = self.get_object()
        with transaction.atomic():
            tokens.change(row, is_active=False)
            self.record(project_id=row.project_id, token_id=row.id)
        return Response(status=204)

    def subject(self) -> dict:
        return {"token_id": _as(UUID, self.kwargs.get("token_id"))}


class CacheViewSet(ManagementViewSet):
    queryset = CachedAnswer.objects.all()
    resource = "cache"
    verbs = {"purge": "purge"}
    bodies = {"purge": Purge}
    replies = {"purge": Purged}
    reply = Purged

    @action(detail=False, methods=["post"])
    def purge(self, request):
        """Remove answers that are kept, of all projects

        Those to an address, whatever was posted there, or to all that begin with `prefix`.
        """
        if not settings.GATEWAY_CACHE:
            raise CacheOff
        body = self.body
        with transaction.atomic():
            if body.prefix:
                deleted = response_cache.purge_below(body.method, body.prefix)
            else:
                deleted = bool(response_cache.purge(body.method, _address(body.url)))
            what = {"method": body.method, "url": body.prefix or body.url}
            self.record(purged=what, deleted=deleted)
        return Response({"deleted": deleted})


def _address(url: str) -> str:
    """Return path and query of an address, with or without a host. Raises InvalidAddress."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidAddress from None
    if not parts.path.startswith("/"):
        raise InvalidAddress
    return parts.path + (f"?{parts.query}" if parts.query else "")


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
            known = _as(kind, value)
            rows = rows.none() if known is None else rows.filter(**{name: str(known)})
    if query.start_time:
        rows = rows.filter(at__gte=query.start_time)
    if query.end_time:
        rows = rows.filter(at__lte=query.end_time)
    if query.search:
        rows = rows.filter(
            reduce(or_, (Q(**{f"{name}__icontains": query.search}) for name in _AUDIT_TEXTS))
        )
    return rows


def _as(kind: Callable[[str], T], text: str | None) -> T | None:
    """Return the text as a value of this kind; None if it is none."""
    try:
        return kind(text) if text else None
    except ValueError:
        return None
