"""The scope of a project's home, which shows the dashboard's figures of this project."""

from urllib.parse import urlencode

from django.urls import reverse
from django.utils.functional import cached_property

from llmring_site.dashboard.scope import Scope
from usage.log_links import QueryLinks

# The models of which every member may see figures and names.
_SHOWN = frozenset({"usage.usagelog", "accounts.apikey"})


class ProjectScope(Scope):
    """The scope of one project, for its members."""

    def may(self, permission: str) -> bool:
        return False

    def may_view(self, model: str) -> bool:
        return model in _SHOWN

    @property
    def query(self) -> dict[str, str]:
        return {"start": self.first.isoformat(), "end": self.last.isoformat()}

    @property
    def calls_address(self) -> str:
        return f"{self._address('project-latency')}?{urlencode(self.query)}"

    @cached_property
    def links(self) -> QueryLinks:
        return QueryLinks(self._address("project-calls"), self.first, self.last, {})

    def _address(self, name: str) -> str:
        return reverse(name, args=[self.project.id])
