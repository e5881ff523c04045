"""How long the tiers of projects keep their logs; usage/retention.py deletes older ones."""

from datetime import datetime
from uuid import UUID

from accounts.models import Project
from core import ids


def retention_days(project: Project, now: datetime) -> int | None:
    """Return for how many days the project's logs are kept; None: forever.

    A shorter retention applies a week after it was set (migration 0022). Queries the tier
    unless it is loaded.
    """
    days = project.tier.retention_days if project.tier else None
    until = project.former_retention_until
    if days is None or until is None or until <= now:
        return days
    former = project.former_retention_days
    return None if former is None else max(former, days)


def kept_since(now: datetime) -> dict[UUID, datetime]:
    """Return the start of the retention period of each project that has one."""
    projects = Project.objects.filter(tier__retention_days__isnull=False).select_related("tier")
    days = {project.id: retention_days(project, now) for project in projects.iterator()}
    return {
        project_id: ids.days_ago(count, now=now)
        for project_id, count in days.items()
        if count is not None
    }
