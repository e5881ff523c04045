"""Projects and their members."""

from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models.people import User
from accounts.models.tiers import Tier
from core.ids import uuid7
from core.visible_text import validate_visible


class ProjectQuerySet(models.QuerySet):
    def named(self, name_or_id: str) -> "Project | None":
        """Return the project with this id, or the oldest one with this name; None without one.

        Archived projects are found by name only if no project in use has it.
        """
        try:
            return self.filter(id=UUID(name_or_id)).first()
        except ValueError:
            return (
                self.filter(name=name_or_id)
                .order_by(F("archived_at").asc(nulls_first=True), "id")
                .first()
            )

    def archive(self) -> int:
        """Archive the projects, whose keys and tokens are then refused; return how many."""
        return self.filter(archived_at=None).update(archived_at=Now())

    def restore(self) -> int:
        """Restore the projects; return how many were archived. Valid keys work again."""
        return self.exclude(archived_at=None).update(archived_at=None)

    def real(self):
        """Return the projects that count in totals of the whole server: all but demo data."""
        return self.filter(is_demo=False)

    def demo(self):
        return self.filter(is_demo=True)


class Project(models.Model):
    """The owner of keys and data. Keys may be replaced; the data stays."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(
        null=True, editable=False, help_text="From then on its keys and tokens are refused."
    )
    tier = models.ForeignKey(
        Tier,
        on_delete=models.PROTECT,
        related_name="projects",
        null=True,
        blank=True,
        help_text="Empty: no limits.",
    )
    # Written by triggers when any program lowers the retention (migration 0022).
    former_retention_days = models.IntegerField(
        null=True, editable=False, help_text="How long logs are kept until then. Empty: for ever."
    )
    former_retention_until = models.DateTimeField(null=True, editable=False)
    is_demo = models.BooleanField(
        "demo",
        default=False,
        db_default=False,  # for servers of the version before, until they are restarted
        editable=False,
        help_text="Made by `manage.py demo`: invented data, in no total of all projects.",
    )

    objects = ProjectQuerySet.as_manager()

    class Meta:
        db_table = "projects"
        ordering = ["-id"]
        permissions = [("make_demo", "Can make and remove the demo project")]
        constraints = [
            models.UniqueConstraint(
                fields=["is_demo"], condition=Q(is_demo=True), name="projects_one_demo"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        # Not a validator of the column, which would need a migration.
        try:
            validate_visible(self.name)
        except ValidationError as error:
            raise ValidationError({"name": error}) from None


class Role(models.TextChoices):
    OWNER = "owner", "owner"
    ADMIN = "admin", "admin"
    MEMBER = "member", "member"
    VIEWER = "viewer", "viewer"


class Membership(models.Model):
    """A person's role in a project."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "memberships"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="memberships_once"),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="memberships_role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"
