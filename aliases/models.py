from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q

from core.json_columns import ExactJSONField
from core.scoping import Caller, OwnedModel, ScopedQuerySet


def names_in(models: str) -> list[str]:
    """Return the models that an alias names, in order; empty names are ignored."""
    return [name for part in models.split(",") if (name := part.strip())]


class AliasBindingQuerySet(ScopedQuerySet):
    def bound(self):
        """Return the aliases that currently name a model."""
        return self.filter(deleted_at__isnull=True)

    def models_of(self, project_id: UUID) -> dict[tuple[str, str], str]:
        """Return the first model of each alias of a project, by profile and alias. One query."""
        rows = self.filter(project_id=project_id).bound()
        return {
            (profile, alias): next(iter(names_in(models)), "")
            for profile, alias, models in rows.values_list("profile", "alias", "model")
        }

    def changed_since(self, since: int | datetime):
        """Return the aliases bound, changed or removed after a revision or a time."""
        if isinstance(since, int):
            return self.filter(revision__gt=since)
        return self.filter(updated_at__gt=since)


class AliasBinding(OwnedModel):
    """The model that an alias names in a profile of a project.

    Written by aliases/bindings.py, which gives every change the next revision of
    the project. A removed alias stays as a row, for the readers of changes.
    """

    id = models.BigAutoField(primary_key=True)
    profile = models.CharField(max_length=64)
    alias = models.CharField(max_length=64)
    model = models.CharField(
        max_length=255,
        help_text="provider:model, or several of them, separated by commas, in order.",
    )
    metadata = ExactJSONField(null=True)
    revision = models.BigIntegerField(help_text="The project's revision that changed it last.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    objects = AliasBindingQuerySet.as_manager()

    class Meta:
        db_table = "aliases"
        verbose_name, verbose_name_plural = "alias", "aliases"
        ordering = ["alias", "profile"]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "profile", "alias"], name="aliases_once_in_a_profile"
            ),
            models.CheckConstraint(condition=~Q(alias="") & ~Q(model=""), name="aliases_not_empty"),
        ]
        indexes = [models.Index(fields=["project_id", "revision"], name="aliases_changes")]

    def __str__(self) -> str:
        return f"{self.alias} ({self.profile})"

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at is not None


class AliasRevision(models.Model):
    """The number of changes of a project's aliases. Its row is the lock that orders them."""

    project_id = models.UUIDField(primary_key=True)
    revision = models.BigIntegerField()

    class Meta:
        db_table = "alias_revisions"

    def __str__(self) -> str:
        return f"{self.project_id} at {self.revision}"

    @classmethod
    def current(cls, caller: Caller) -> int:
        """Return the project's revision; 0 before its first alias."""
        revisions = cls.objects.filter(project_id=caller.project_id).values_list(
            "revision", flat=True
        )
        return revisions.first() or 0
