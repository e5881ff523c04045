"""Pages of the admin's list of logs."""

from core.admin import BoundedPaginator
from usage.models import PEAKS


class LogPaginator(BoundedPaginator):
    """Finds the most expensive and the slowest logs in the indexes of these.

    A page that is not full may lack logs below the threshold: it is read as any other.
    """

    def page(self, number):
        if (name := self._sorted_down_by()) in PEAKS:
            peaks = self.object_list.filter(**{f"{name}__gte": PEAKS[name]})
            page = BoundedPaginator(peaks, self.per_page).page(number)
            if len(page) == self.per_page:
                return page
        return super().page(number)

    def _sorted_down_by(self) -> str:
        """Return the column by which the logs are sorted first, if the largest value is first."""
        [first, *_] = self.object_list.query.order_by or [None]
        is_down = getattr(first, "descending", False)
        return getattr(first.expression, "name", "") if is_down else ""
