"""A person's projects: create, rename, archive."""

from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts import audit, locks
from accounts.models import Membership, Project, Role, Tier, User
from core.ids import uuid7

MAX_NAME = 255


def create_project(
    user: User, name: str, origin: audit.Origin, *, id: UUID | None = None
) -> Project:
    """Create a project that the person owns, in the tier of accounts, and return it.

    Raises SessionEnded, and IntegrityError if `id` exists; by default it is generated.
    """
    with transaction.atomic():
        locks.same_person(user)
        tier = Tier.objects.filter(name=settings.ACCOUNT_TIER).first()
        project = Project.objects.create(id=id or uuid7(), name=name[:MAX_NAME], tier=tier)
        Membership.objects.create(user=user, project=project, role=Role.OWNER)
        audit.record("project.create", origin, project_id=project.id, name=project.name)
    return project


def named_or_new(name_or_id: str, origin: audit.Origin) -> Project:
    """Return the project with this name or id; create it if there is none.

    Raises ValidationError for an invalid name, and for an archived project.
    """
    name = name_or_id.strip()
    if (project := Project.objects.named(name)) is None:
        project = Project(name=name)
        project.full_clean()
        with transaction.atomic():
            project.save()
            audit.record("project.create", origin, project_id=project.id, name=project.name)
    check_active(project)
    return project


def check_active(project: Project) -> None:
    """Raise ValidationError for an archived project, whose new keys and tokens open nothing."""
    if project.archived_at is not None:
        raise ValidationError("The project is archived; its keys and tokens are refused.")


def rename_project(project: Project, name: str, origin: audit.Origin) -> None:
    """Rename a project; the last of concurrent renamings wins."""
    with transaction.atomic():
        if Project.objects.filter(pk=project.pk).exclude(name=name).update(name=name):
            about = {"project_id": project.id, "old": project.name, "new": name}
            audit.record("project.rename", origin, **about)
        project.name = name


def archive_project(project_id: UUID, origin: audit.Origin) -> bool:
    """Archive a project: its keys are refused within a second. Return False if it was already."""
    with transaction.atomic():
        if not Project.objects.filter(id=project_id).archive():
            return False
        audit.record("project.archive", origin, project_id=project_id)
    return True


def restore_project(project_id: UUID, origin: audit.Origin) -> bool:
    """Restore an archived project and its keys. Return False if it was in use."""
    with transaction.atomic():
        if not Project.objects.filter(id=project_id).restore():
            return False
        audit.record("project.restore", origin, project_id=project_id)
    return True


def home_project(user: User) -> Project | None:
    """Return the project of a login's key: the oldest that they own, else the oldest."""
    memberships = Membership.objects.filter(user=user, project__archived_at__isnull=True)
    ordered = sorted(
        memberships.select_related("project__tier"), key=lambda m: (m.role != Role.OWNER, m.id)
    )
    return ordered[0].project if ordered else None


def tier_name(project: Project | None) -> str | None:
    """Return the name of the project's tier; None for one without limits."""
    return project.tier.name if project and project.tier else None
