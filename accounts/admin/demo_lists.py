"""Lists of the admin that show demo data only on request."""

from django.contrib.admin.views.main import PAGE_VAR

from accounts.api_keys import is_id
from accounts.models import Project
from core.timeline import TimelineChangeList


class RealChangeList(TimelineChangeList):
    """Leaves out demo data, as the totals do, unless the list is filtered by an id.

    `left_out` is the demo project, if it is left out.
    """

    left_out: Project | None = None

    def get_filters(self, request):
        filters = super().get_filters(request)
        if not self._is_narrowed_by_id():
            self.left_out = Project.objects.demo().first()
        return filters

    def _is_narrowed_by_id(self) -> bool:
        """Return whether the list is filtered by the id of a project, key, tool or the like."""
        chosen = [name.partition("__")[0] for name, values in self.filter_params.items() if values]
        return is_id(self.query.strip()) or any(name.endswith("_id") for name in chosen)

    def get_queryset(self, request, exclude_parameters=None):
        rows = super().get_queryset(request, exclude_parameters)
        return rows.exclude(project_id=self.left_out.id) if self.left_out else rows

    @property
    def demo_address(self) -> str:
        """The address of the list with the demo data that is left out here."""
        return self.get_query_string({"project_id__exact": str(self.left_out.id), PAGE_VAR: None})
