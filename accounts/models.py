from uuid import UUID

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import api_keys
from core.ids import uuid7


class User(AbstractUser):
    """A person. Staff see the whole server; others the projects of their memberships."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        db_table = "users"
        ordering = ["username"]


class ProjectQuerySet(models.QuerySet):
    def named(self, name_or_id: str) -> "Project | None":
        """The project with this id or, else, the oldest one of this name."""
        try:
            return self.filter(id=UUID(name_or_id)).first()
        except ValueError:
            return self.filter(name=name_or_id).order_by("id").first()

    def real(self):
        """Projects that totals of the whole server are about: all but demo data."""
        return self.filter(is_demo=False)

    def demo(self):
        return self.filter(is_demo=True)


class Project(models.Model):
    """Owns rows. Its keys come and go; its data stays."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
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


class Role(models.TextChoices):
    OWNER = "owner", "owner"
    ADMIN = "admin", "admin"
    MEMBER = "member", "member"
    VIEWER = "viewer", "viewer"


class Membership(models.Model):
    """What a person may do in a project."""

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


class ApiKeyQuerySet(models.QuerySet):
    def usable(self):
        """Keys that open their project now: not revoked, not expired."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=Now()), revoked_at__isnull=True
        )

    def revoke(self) -> int:
        """Revoke the keys permanently; return how many. A trigger notifies all workers."""
        return self.filter(revoked_at__isnull=True).update(revoked_at=Now())


class ApiKey(models.Model):
    """Opens one project. Only its digest is stored: nobody can read the key again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=255, blank=True, help_text="Where the key is used.")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    hint = models.CharField(
        max_length=20, blank=True, editable=False, help_text="The first characters of the key."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on the key is refused. Empty: never."
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = "api_keys"
        ordering = ["-id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name or self.hint or str(self.id)

    @property
    def state(self) -> str:
        """`revoked`, `expired` or `active`."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= timezone.now():
            return "expired"
        return "active"

    @classmethod
    def issue(
        cls, project: Project, *, name: str = "", expires_at=None, id: UUID | None = None
    ) -> tuple["ApiKey", str]:
        """Make a key of the project. Returns its row and its text, which is not stored.

        Raises IntegrityError if there is one of this `id`, by default a new one.
        """
        text = api_keys.generate()
        row = cls.objects.create(
            id=id or uuid7(),
            project=project,
            name=name,
            digest=api_keys.digest(text),
            hint=text[: len(api_keys.PREFIX) + 4],
            expires_at=expires_at,
        )
        return row, text
