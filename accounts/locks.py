"""The order in which rows are locked, which prevents deadlocks.

    people, by their ids → projects, by their ids → memberships, invitations, keys by their ids

Skip those that are not needed. Triggers also lock a project before an owner leaves it
(migration accounts.0008). Lock a person before adding rows that refer to them: they might be
deleted concurrently.
"""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import Invitation, Membership, Project, User
from core.errors import DomainError


class SessionEnded(DomainError):
    """The person's session ended during the request."""

    status_code = 401
    code = "not_logged_in"

    def __init__(self) -> None:
        super().__init__("Log in again")


def people(ids: Collection[UUID]) -> list[User]:
    """Lock people and return those who exist."""
    # no_key: rows that refer to them, such as keys, may be added meanwhile.
    rows = User.objects.filter(pk__in=ids).order_by("id")
    return list(rows.select_for_update(no_key=True))


def person(id: UUID) -> User | None:
    """Lock a person and return them; None if they do not exist."""
    return next(iter(people([id])), None)


def same_person(user: User) -> None:
    """Lock the person who makes a request, or whom it logs in.

    Raises SessionEnded for one who was deleted, was deactivated or got another password since.
    """
    locked = person(user.pk)
    if locked is None or not locked.is_active or locked.password != user.password:
        raise SessionEnded


def person_with_projects(id: UUID) -> User | None:
    """Lock a person and their projects; return the person, None if they do not exist."""
    user = person(id)
    if user is not None:
        projects(user.memberships.values("project_id"))
    return user


def people_to_delete(ids: Collection[UUID]) -> list[User]:
    """Lock people and the projects they are in or invited to; return those who exist."""
    users = people(ids)
    theirs = Project.objects.filter(
        Q(pk__in=Membership.objects.filter(user__in=users).values("project_id"))
        | Q(pk__in=Invitation.objects.filter(invited_by__in=users).values("project_id"))
    )
    projects(theirs.values("id"))
    return users


def projects(ids: Collection[UUID] | QuerySet) -> None:
    """Lock projects against concurrent changes of their members."""
    list(Project.objects.filter(pk__in=ids).order_by("id").select_for_update().values_list("id"))
