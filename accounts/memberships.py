"""The members of projects and their roles.

    owner    everything; only owners make, demote and remove owners
    admin    members, invitations, keys and the project itself
    member   reads and writes, makes keys
    viewer   reads

The database refuses to leave a project in use without an owner, whatever program asks for it
(migration accounts.0008). Losing a role revokes the login keys that depend on it.
"""

from contextlib import contextmanager
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404

from accounts import audit, locks, login_keys
from accounts.models import Membership, Project, Role, User
from core.database.constraints import violated_constraint
from core.errors import DomainError

_RANKS = {
    role: rank for rank, role in enumerate([Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER])
}
MEMBER_NOT_FOUND = "Member not found"


class LastOwner(DomainError):
    status_code = 409
    code = "last_owner"

    def __init__(self) -> None:
        super().__init__(
            "A project keeps an owner: hand it over to another member, or archive it, first"
        )


class RoleRefused(DomainError):
    """The person may not give or take this role."""

    status_code = 403
    code = "role_refused"


def own_role(user: User, project: Project) -> str | None:
    """Return the person's role in the project; None for a person who is not a member."""
    rows = Membership.objects.filter(user=user, project=project)
    return rows.values_list("role", flat=True).first()


def acting_role(user: User, project: Project) -> str:
    """Return the role in which the person administers; superusers act as owners."""
    return Role.OWNER if user.is_superuser else (own_role(user, project) or Role.VIEWER)


def is_higher(role: str, other: str) -> bool:
    """Return whether a role permits more than the other."""
    return _RANKS[Role(role)] > _RANKS[Role(other)]


def owned_alone(user: User) -> QuerySet[Project]:
    """Return the projects in use that the person alone owns, newest first."""
    others = Membership.objects.filter(
        project=OuterRef("pk"), role=Role.OWNER, user__is_active=True
    ).exclude(user=user)
    own = Project.objects.filter(memberships__user=user, memberships__role=Role.OWNER)
    return own.filter(~Exists(others), archived_at=None).order_by("-id")


@contextmanager
def keeping_an_owner():
    """Run changes of memberships in a transaction; raise LastOwner if a project lost its last."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if violated_constraint(error) != "memberships_last_owner":
            raise
        raise LastOwner from None


def change_role(
    project: Project, user_id: UUID, role: str, *, by: str, origin: audit.Origin
) -> Membership:
    """Give a member another role; `by` is the role of the person who does it.

    Raises Http404, RoleRefused, LastOwner.
    """
    with keeping_an_owner():
        membership = _lock(project, user_id)
        check_owner_rule(by, membership.role, role)
        old, membership.role = membership.role, role
        if old != role:
            membership.save(update_fields=["role"])
            audit.record(
                "member.role", origin, project_id=project.id, user_id=user_id, old=old, new=role
            )
            login_keys.revoke_excess(membership.user, origin=origin)
    return membership


def remove(project: Project, user_id: UUID, *, by: str | None, origin: audit.Origin) -> None:
    """Remove a member; `by` is None for one who leaves. Raises Http404, RoleRefused, LastOwner."""
    with keeping_an_owner():
        membership = _lock(project, user_id)
        if by is not None:
            check_owner_rule(by, membership.role)
        membership.delete()
        audit.record(
            "member.remove",
            origin,
            project_id=project.id,
            user_id=user_id,
            role=membership.role,
            left=by is None,
        )
        login_keys.revoke_excess(membership.user, origin=origin)


def hand_over(project: Project, owner: User, user_id: UUID, origin: audit.Origin) -> Membership:
    """Make a member the owner and the owner an admin, both or neither. Raises Http404."""
    with keeping_an_owner():
        new, old = _lock(project, user_id), _lock(project, owner.id)
        if new.user_id == old.user_id:
            return new
        new.role, old.role = Role.OWNER, Role.ADMIN
        new.save(update_fields=["role"])
        old.save(update_fields=["role"])
        audit.record(
            "project.hand_over",
            origin,
            project_id=project.id,
            user_id=user_id,
            former_owner=str(owner.id),
        )
        login_keys.revoke_excess(owner, origin=origin)
    return new


def add(project: Project, user: User, role: str, origin: audit.Origin) -> Membership:
    """Make a person a member, or raise their role; keep a higher one."""
    with transaction.atomic():
        membership, is_new = Membership.objects.select_for_update().get_or_create(
            project=project, user=user, defaults={"role": role}
        )
        if not is_new and not is_higher(role, membership.role):
            return membership
        old = None if is_new else membership.role
        membership.role = role
        membership.save(update_fields=["role"])
        audit.record(
            "member.add" if is_new else "member.role",
            origin,
            project_id=project.id,
            user_id=user.id,
            old=old,
            new=role,
        )
    return membership


def _lock(project: Project, user_id: UUID) -> Membership:
    locks.projects([project.pk])
    rows = Membership.objects.select_for_update(of=("self",)).select_related("user")
    membership = rows.filter(project=project, user_id=user_id).first()
    if membership is None:
        raise Http404(MEMBER_NOT_FOUND)
    return membership


def check_owner_rule(by: str, *roles: str) -> None:
    """Raise RoleRefused if one of the roles is owner and `by` is not."""
    if by != Role.OWNER and Role.OWNER in roles:
        raise RoleRefused("Only an owner makes, demotes or removes owners")
