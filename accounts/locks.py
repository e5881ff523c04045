"""The order in which rows are locked, so that no two requests wait for each other.

    a person → projects, by their ids → memberships, invitations, keys by their ids

Who needs only some of these skips the others. Triggers lock a project, too, before an owner
leaves it (migration accounts.0008).
"""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Project, User


def person(id: UUID) -> User | None:
    """Lock a person and return them; None for one who is gone."""
    # Rows that refer to them, such as keys, may be added meanwhile.
    return User.objects.select_for_update(no_key=True).filter(pk=id).first()


def person_with_projects(id: UUID) -> User | None:
    """Lock a person and the projects they are in; return what `person` does."""
    user = person(id)
    if user is not None:
        projects(user.memberships.values("project_id"))
    return user


def projects(ids: Collection[UUID] | QuerySet) -> None:
    """Lock projects against other changes of who is in them."""
    list(Project.objects.filter(pk__in=ids).order_by("id").select_for_update().values_list("id"))
