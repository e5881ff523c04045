"""Keys that logins issue. They have the person's permissions, and end with these or a reset."""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, keys, locks
from accounts.models import ApiKey, Project, User
from accounts.permissions import Action, key_permissions, role_permissions, widest_scopes
from accounts.projects import home_project

MAX_KEYS = 10  # of a person in a project; the oldest ones are revoked
REGISTRATION_NAME = "made at registration"


def of_person(user: User) -> QuerySet[ApiKey]:
    """Return the keys that the person's logins issued."""
    return ApiKey.objects.filter(created_by=user, is_from_login=True)


def issue(
    user: User, project: Project, origin: audit.Origin, *, name: str, is_pending: bool = False
) -> tuple[ApiKey, str]:
    """Issue a key for a login, with the person's permissions; return its row and its text.

    Raises SessionEnded.
    """
    with transaction.atomic():
        # A concurrent reset either revokes this key or prevents it.
        locks.same_person(user)
        # Like memberships.remove: either the removal of a role is seen here, or this key there.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        row, text = keys.issue_key(
            project,
            origin,
            name=name,
            scopes=widest_scopes(_permissions_of(user, project.id)),
            created_by=user,
            is_from_login=True,
            is_pending=is_pending,
        )
        older = of_person(user).filter(project=project, revoked_at__isnull=True)
        surplus = list(older.order_by("-id").values_list("id", flat=True)[MAX_KEYS:])
        keys.revoke_keys(ApiKey.objects.filter(id__in=surplus), origin, reason="newer logins")
    return row, text


def issue_home_key(
    user: User, origin: audit.Origin, *, name: str
) -> tuple[Project | None, str | None]:
    """Return the person's home project and a new key's text; None without a project.

    Raises SessionEnded.
    """
    with transaction.atomic():
        locks.same_person(user)
        project = home_project(user)
        if project is None:
            return None, None
        return project, issue(user, project, origin, name=name)[1]


def revoke_excess(*people: User, origin: audit.Origin) -> int:
    """Revoke login keys with more permissions than their people have; return how many.

    Call it after people lost a role, a project or their account. Keys that they created belong
    to the project, and stay.
    """
    excess = [
        key.id
        for user in people
        for key in of_person(user).filter(revoked_at__isnull=True)
        if not key_permissions(key.scopes) <= _permissions_of(user, key.project_id)
    ]
    rows = ApiKey.objects.filter(id__in=excess)
    return keys.revoke_keys(rows, origin, reason="access was taken away")


def _permissions_of(user: User, project_id: UUID) -> frozenset[Action]:
    permissions = role_permissions(user, project_id) if user.is_active else None
    return permissions or frozenset()
