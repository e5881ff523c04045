"""The projects and the days that a dashboard shows, as its query string names them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property

from accounts.models import Project
from core.admin_display import may_view
from usage.log_links import LogLinks

DEFAULT_DAYS = 30
MAX_DAYS = 366
MAX_PROJECTS_TO_CHOOSE = 500


@dataclass(frozen=True)
class Scope:
    """The chosen project, or None for all real ones; whole days in UTC, both ends included.

    `notices` name the parts of the query string that were ignored.
    """

    request: HttpRequest
    project: Project | None
    first: date
    last: date
    today: date
    notices: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: HttpRequest, *, project: Project | None = None) -> "Scope":
        """Return what the query string asks for; missing and invalid parts have their defaults.

        A `project` argument replaces that of the query string.
        """
        today = datetime.now(UTC).date()
        notices: list[str] = []
        project = project or _project(request.GET.get("project", "").strip(), notices)
        last = _day(request.GET.get("end", ""), notices) or today
        first = _day(request.GET.get("start", ""), notices) or last - timedelta(DEFAULT_DAYS - 1)
        if first > last:
            notices.append("The start is after the end, so they were swapped.")
            first, last = last, first
        if (last - first).days >= MAX_DAYS:
            if first <= today < last:
                last = today  # no calls come after it
            first = max(first, last - timedelta(days=MAX_DAYS - 1))
            notices.append(f"At most {MAX_DAYS} days are shown: {first} to {last}.")
        return cls(request, project, first, last, today, tuple(notices))

    def may(self, permission: str) -> bool:
        """Return whether the person has a permission, such as `accounts.make_demo`."""
        return self.request.user.has_perm(permission)

    def may_view(self, model: str) -> bool:
        """Return whether the admin opens pages of a model, such as `usage.usagelog`, to them."""
        return may_view(self.request.user, model)

    @cached_property
    def project_ids(self) -> list[UUID]:
        if self.project:
            return [self.project.id]
        return list(Project.objects.real().values_list("id", flat=True))

    @cached_property
    def demo(self) -> Project | None:
        """The project of demo data, if there is one."""
        return Project.objects.demo().first()

    @property
    def all_days(self) -> str:
        return f"{self.first} to {self.last}"

    @property
    def query(self) -> dict[str, str]:
        """The parameters of this dashboard's address."""
        project = {"project": str(self.project.id)} if self.project else {}
        return {**project, "start": self.first.isoformat(), "end": self.last.isoformat()}

    @property
    def calls_address(self) -> str:
        """The address from which the page loads latency and unsettled calls."""
        return f"{reverse('dashboard-calls')}?{urlencode(self.query)}"

    @cached_property
    def links(self) -> LogLinks:
        path = reverse("admin:usage_usagelog_changelist")
        return LogLinks(path, self.first, self.last, self.project_lookup)

    @property
    def project_lookup(self) -> dict[str, str]:
        """The query parameters that limit the admin's lists to the chosen project."""
        return {"project_id__exact": str(self.project.id)} if self.project else {}


def _project(text: str, notices: list[str]) -> Project | None:
    if not text:
        return None
    project = None if "\x00" in text else Project.objects.named(text)
    if project is None:
        notices.append("There is no such project, so all are shown.")
    return project


def _day(text: str, notices: list[str]) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        if not 1971 <= day.year <= 8999:
            raise ValueError
    except ValueError:
        notices.append("A date is written as 2026-11-30; the default was used.")
        return None
    return day
