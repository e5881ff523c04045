"""Forms of the admin that make a key or token, which is shown once: sent twice, they make one."""

from uuid import UUID

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.shortcuts import redirect

from accounts.admin.project_field import ProjectField
from core.admin import ModelAdmin
from core.database.constraints import repeats_id
from core.ids import uuid7


class OnceAdmin(ProjectField, ModelAdmin):
    """The form carries the id of the new row, which the database admits once."""

    change_form_before_template = "accounts/once.html"

    def add_view(self, request, form_url="", extra_context=None):
        context = {**(extra_context or {}), "form_id": uuid7()}
        try:
            with transaction.atomic():
                return super().add_view(request, form_url, context)
        except IntegrityError as error:
            noun = self.opts.verbose_name.removeprefix("API ")
            if repeats_id(error):
                text = (
                    f"This form has made its {noun} already. A {noun} is shown once: "
                    "if it is lost, revoke it."
                )
            else:  # such as a project that was deleted meanwhile
                text = f"No {noun} was made: what the form names changed meanwhile. Try again."
            messages.warning(request, text)
            if not self.has_view_permission(request):
                return redirect("admin:index")
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


def form_id(request) -> UUID | None:
    """Return the id that a form carries; None, for any new one, without."""
    try:
        return UUID(request.POST.get("form_id", ""))
    except ValueError:
        return None
