"""Projects as the management API makes, changes and archives them.

Source: docs/gateway.md, section "Management API".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection, transaction
from django.http import Http404

from accounts.models import Project
from core.errors import DomainError
from gateway.models import Token
from gateway.upstream_keys import set_keys

_NAMES = 0x6C6C6D70  # the advisory lock under which names are compared and taken


class NameTaken(DomainError):
    status_code = 409
    code = "name_taken"

    def __init__(self) -> None:
        super().__init__("name: another active project has this name")


@dataclass(frozen=True, slots=True)
class Revocation:
    """What became of the tokens of a project."""

    revoked_count: int
    already_revoked_count: int

    @property
    def total_tokens(self) -> int:
        return self.revoked_count + self.already_revoked_count


@transaction.atomic
def create(name: str, keys: Mapping[str, str | None]) -> Project:
    """Make a project with its own upstream keys. Raises NameTaken."""
    _require_free(name)
    project = Project.objects.create(name=name)
    set_keys(project, keys)
    return project


@transaction.atomic
def change(
    project: Project,
    *,
    name: str | None = None,
    is_active: bool | None = None,
    keys: Mapping[str, str | None],
) -> Project:
    """Change what is not None, and return the project. Raises NameTaken, Http404.

    Names of active projects are unique, so one is compared also when a project returns.
    """
    # Since it was looked up it may have been changed, or deleted.
    project = Project.objects.select_for_update().filter(pk=project.pk).first()
    if project is None:
        raise Http404("project not found")
    name = project.name if name is None else name
    was_active = project.archived_at is None
    stays_active = was_active if is_active is None else is_active
    if stays_active and (name != project.name or not was_active):
        _require_free(name, besides=project)
    rows = Project.objects.filter(pk=project.pk)
    if name != project.name:
        rows.update(name=name)
    if stays_active != was_active:
        rows.restore() if stays_active else rows.archive()
    set_keys(project, keys)
    project.refresh_from_db()
    return project


@transaction.atomic
def archive(project: Project) -> Revocation:
    """Deactivate the project and revoke its tokens; its ledger stays."""
    Project.objects.filter(pk=project.pk).archive()
    return revoke_tokens(project)


@transaction.atomic
def revoke_tokens(project: Project) -> Revocation:
    """Revoke all tokens of the project, in one statement."""
    tokens = Token.objects.filter(project=project)
    revoked = tokens.revoke()
    return Revocation(revoked, tokens.count() - revoked)


def _require_free(name: str, *, besides: Project | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NAMES])
    taken = Project.objects.filter(name=name, archived_at=None)
    if besides is not None:
        taken = taken.exclude(pk=besides.pk)
    if taken.exists():
        raise NameTaken
