"""Whose rows a request sees and makes: decided here, once.

A row of another project is not in the queryset, hence 404.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import models


@dataclass(frozen=True, slots=True)
class Scope:
    """The project whose rows a request may see and create, and the key that opened it."""

    project_id: UUID
    api_key_id: UUID

    def columns(self) -> dict[str, UUID]:
        """Column values that are stamped on new rows."""
        return {"project_id": self.project_id, "api_key_id": self.api_key_id}


class ScopedQuerySet(models.QuerySet):
    def for_scope(self, scope: Scope):
        """The rows of the scope's project, whichever of its keys wrote them."""
        return self.filter(project_id=scope.project_id)


class ScopedViewMixin:
    def get_queryset(self):
        return super().get_queryset().for_scope(self.request.auth)

    def perform_create(self, serializer):
        serializer.save(**self.request.auth.columns())
