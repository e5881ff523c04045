"""The order in which rows are locked, so that no two requests wait for each other.

    people, by their ids → projects, by their ids → memberships, invitations, keys by their ids

Who needs only some of these skips the others. Triggers lock a project, too, before an owner
leaves it (migration accounts.0008). Who adds rows that refer to a person locks the person:
they may be deleted at this moment.
"""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import Invitation, Membership, Project, User
from core.errors import DomainError


class SessionEnded(DomainError):
    """What ended the person's session at this moment ends what the session asked for."""

    status_code = 401
    code = "not_logged_in"

    def __init__(self) -> None:
        super().__init__("Log in again")


def people(ids: Collection[UUID]) -> list[User]:
    """Lock people and return those who are there."""
    # Rows that refer to them, such as keys, may be added meanwhile.
    rows = User.objects.filter(pk__in=ids).order_by("id")
    return list(rows.select_for_update(no_key=True))


def person(id: UUID) -> User | None:
    """Lock a person and return them; None for one who is gone."""
    return next(iter(people([id])), None)


def same_person(user: User) -> None:
    """Lock the person whom a request logs in, or who makes it.

    Raises SessionEnded for one who was deleted, was deactivated or got another password since.
    """
    locked = person(user.pk)
    if locked is None or not locked.is_active or locked.password != user.password:
        raise SessionEnded


def person_with_projects(id: UUID) -> User | None:
    """Lock a person and the projects they are in; return what `person` does."""
    user = person(id)
    if user is not None:
        projects(user.memberships.values("project_id"))
    return user


def people_to_delete(ids: Collection[UUID]) -> list[User]:
    """Lock people and all projects in which they left something; return those who are there."""
    found = people(ids)
    theirs = Project.objects.filter(
        Q(pk__in=Membership.objects.filter(user__in=found).values("project_id"))
        | Q(pk__in=Invitation.objects.filter(invited_by__in=found).values("project_id"))
    )
    projects(theirs.values("id"))
    return found


def projects(ids: Collection[UUID] | QuerySet) -> None:
    """Lock projects against other changes of who is in them."""
    list(Project.objects.filter(pk__in=ids).order_by("id").select_for_update().values_list("id"))
