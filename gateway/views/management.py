"""What all views of the management API do: who gets in, pages, the audit log."""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response

from accounts import audit
from accounts.authentication import (
    IsManager,
    ManagementSessionAuthentication,
    ManagementTokenAuthentication,
)
from accounts.management_access import Manager
from accounts.models import AuditOutcome
from core.errors import DATABASE_AWAY, failure
from core.viewsets import ScopedModelViewSet

logger = logging.getLogger(__name__)
T = TypeVar("T")


NEXT_PAGE = OpenApiParameter(
    "Link",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description='The address of the next page, while there is one (`rel="next"`, RFC 8288).',
)


class ManagementViewSet(ScopedModelViewSet):
    """Rows of all projects, for managers. Each change is recorded, and so is each refused one."""

    authentication_classes = [ManagementTokenAuthentication, ManagementSessionAuthentication]
    permission_classes = [IsManager]
    tags = ["management"]
    reads_any_type = True  # llm-proxy looks at no type, and `curl -d` says that it sends a form
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
            headers[NEXT_PAGE.name] = f'<{self.request.path}?{parameters.urlencode()}>; rel="next"'
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


def value_of(kind: Callable[[str], T], text: str | None) -> T | None:
    """Return the text as a value of this kind; None if it is not one."""
    try:
        return kind(text) if text else None
    except ValueError:
        return None
