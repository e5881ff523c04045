"""Whose rows a request reads and writes.

A row of another project is not in the queryset, hence 404.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import models


def person_as_author(user_id: UUID) -> str:
    """Return how corrections and versions name a person as their author."""
    return f"user {user_id}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a project's tier that apply to each request. None: no limit."""

    requests_per_minute: int | None
    logs_per_month: int | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the project it is for, and the key or the person behind it.

    `permissions` are names of accounts.permissions.Action; None stands for all of them.
    A project without a tier has no `limits`.
    """

    project_id: UUID
    api_key_id: UUID | None = None
    user_id: UUID | None = None
    permissions: frozenset[str] | None = None
    limits: Limits | None = None

    @property
    def author(self) -> str:
        """The author of a change, as corrections and versions name it."""
        return person_as_author(self.user_id) if self.user_id else f"key {self.api_key_id}"

    def columns(self) -> dict[str, UUID | None]:
        """Return the columns that identify the caller in new rows."""
        return {
            "project_id": self.project_id,
            "api_key_id": self.api_key_id,
            "user_id": self.user_id,
        }


class ScopedQuerySet(models.QuerySet):
    def for_caller(self, caller: Caller):
        """Return the rows of the caller's project, whoever wrote them."""
        return self.filter(project_id=caller.project_id)


class OwnedModel(models.Model):
    """A row of a project. It names the key or the person that made it."""

    project_id = models.UUIDField()
    api_key_id = models.UUIDField(
        null=True, help_text="Public id of the key that made the row; empty: a person did."
    )
    user_id = models.UUIDField(null=True, help_text="The person that made the row, if one did.")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        abstract = True
