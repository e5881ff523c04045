"""Inlines with pages: a project may have thousands of members and keys."""

import re

from unfold.admin import TabularInline
from unfold.forms import PaginationInlineFormSet

from accounts.api_keys import is_id

_ROWS = 50


class PagedFormSet(PaginationInlineFormSet):
    """The rows of one page; of a submitted form, those that it names.

    They may be on another page by then.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound:
            self._queryset = self.queryset.filter(pk__in=self._named_rows())

    def _named_rows(self) -> set[str]:
        field = re.compile(rf"{re.escape(self.prefix)}-\d+-{self.model._meta.pk.name}")
        named = {self.data[name] for name in self.data if field.fullmatch(name)}
        return {id for id in named if is_id(id)}

    def get_page_num(self) -> int:
        try:
            return super().get_page_num()
        except ValueError:  # unfold takes "²" for a number
            return 1

    def _construct_form(self, i, **kwargs):
        form = super()._construct_form(i, **kwargs)
        form.instance.viewer = self.request.user  # for links
        return form


class PagedInline(TabularInline):
    """A table with links to its other pages."""

    formset = PagedFormSet
    extra = 0
    per_page = _ROWS
    hide_title = True  # it repeats the columns
