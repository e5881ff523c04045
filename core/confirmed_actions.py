"""Actions of the admin's lists that ask before they do anything."""

from collections.abc import Callable
from operator import attrgetter

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from core.number_formats import counted


class ConfirmedActions:
    """Actions that ask before they do anything."""

    def confirmed(
        self,
        request: HttpRequest,
        rows: QuerySet,
        *,
        question: str,
        action: Callable[[object], bool],
        noun: str,
        done: str,
    ) -> TemplateResponse | None:
        """Ask, then run `action(row)` for each row and report how many of them it changed."""
        name, rows = request.POST.get("action", ""), [*rows]
        if not rows:
            messages.warning(request, "This action applies to none of the selected rows.")
            return None
        if "confirmed" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": self.get_actions(request)[name][2],
                "question": question,
                "rows": rows,
                "action": name,
            }
            return TemplateResponse(request, "core/confirm_action.html", context)
        # By their ids, whatever the list is sorted by: two actions that lock the same rows in
        # opposite orders would wait for each other.
        changed = sum(map(action, sorted(rows, key=attrgetter("pk"))))
        messages.success(request, f"{counted(changed, noun)} {done}.")
        return None
