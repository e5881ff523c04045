"""Keys that logins give: each may do what its person may, and ends with that, or with a reset."""

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
    """Return the keys that logins gave to the person."""
    return ApiKey.objects.filter(created_by=user, is_from_login=True)


def issue(
    user: User, project: Project, origin: audit.Origin, *, name: str, is_pending: bool = False
) -> tuple[ApiKey, str]:
    """Return a key that a login gives; it may do what the person may, and a reset ends it.

    Raises SessionEnded.
    """
    with transaction.atomic():
        # A reset of this moment ends the keys that it sees here, or this one is not made.
        locks.same_person(user)
        # As memberships.remove does: a role that is taken away meanwhile is seen here, or the
        # key is seen there.
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
    """Return the project of a login and a new key's text; None without any project.

    Raises SessionEnded.
    """
    with transaction.atomic():
        locks.same_person(user)
        project = home_project(user)
        if project is None:
            return None, None
        return project, issue(user, project, origin, name=name)[1]


def revoke_excess(*people: User, origin: audit.Origin) -> int:
    """Revoke the keys of these people's logins that may do more than they may; return how many.

    For whoever lost access: a role, a project, the account. Keys that were made on purpose
    are the project's, and stay.
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
