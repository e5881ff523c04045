"""Pages of the admin's list of logs."""

from core.admin import BoundedPaginator
from usage.models import ENDS

MAX_SORTED_PAGES = 20  # for further ones too many logs would be sorted


class LogPaginator(BoundedPaginator):
    """Finds the first pages of a list that is sorted by cost or latency in small indexes.

    A page that they do not fill may have other logs, too: it is read as any other.
    """

    @property
    def max_pages(self) -> int:
        return MAX_SORTED_PAGES if self._first_order() in ENDS else super().max_pages

    def page(self, number):
        if end := ENDS.get(self._first_order()):
            page = BoundedPaginator(self.object_list.filter(end), self.per_page).page(number)
            if len(page) == self.per_page:
                return page
        return super().page(number)

    def _first_order(self) -> str:
        """Return by which column the logs are sorted first, with a "-" if downwards."""
        [first, *_] = self.object_list.query.order_by or [None]
        name = getattr(getattr(first, "expression", None), "name", "")
        return f"-{name}" if getattr(first, "descending", False) else name
