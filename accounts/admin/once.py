"""Forms of the admin that create a key or token once, even if they are submitted twice."""

from uuid import UUID

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.shortcuts import redirect

from accounts.admin.project_field import ProjectField
from core.admin import ModelAdmin
from core.database.constraints import repeats_id
from core.ids import uuid7


class OnceAdmin(ProjectField, ModelAdmin):
    """The form contains the id of the new row, so a second one violates the primary key."""

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
            else:  # such as a project that has been deleted
                text = f"No {noun} was made: what the form names changed meanwhile. Try again."
            messages.warning(request, text)
            if not self.has_view_permission(request):
                return redirect("admin:index")
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


def form_id(request) -> UUID | None:
    """Return the id in the form; None if it has none, for a generated id."""
    try:
        return UUID(request.POST.get("form_id", ""))
    except ValueError:
        return None
