"""Using a template: its values are checked, its texts filled, its use counted."""

from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils import timezone

from core.errors import InvalidInput, issue
from core.scoping import Caller
from templates_app import rendering
from templates_app.models import ConversationTemplate


def find(caller: Caller, template_id: UUID) -> ConversationTemplate:
    """The template that the caller may use. Raises Http404."""
    template = ConversationTemplate.objects.visible_to(caller).filter(id=template_id).first()
    if template is None:
        raise Http404("Template not found")
    return template


def use(template: ConversationTemplate, values: dict | None) -> dict:
    """Count one use; the template's texts, filled. Nothing is counted when that fails.

    Raises InvalidInput, and Http404 for a template deleted meanwhile.
    """
    values = values or {}
    if issues := list(_issues(template, values)):
        raise InvalidInput(issues)
    try:
        filled = template.rendered(values)
    except rendering.TooLong:
        most = settings.MAX_BODY_BYTES
        message = f"The filled template would have more than {most} characters"
        raise InvalidInput([issue("too_long", ["body", "values"], message, None)]) from None
    count(template)
    return filled


def count(template: ConversationTemplate) -> None:
    """Count one use. Raises Http404 for a template deleted meanwhile."""
    row = ConversationTemplate.objects.filter(id=template.id, is_active=True)
    if not row.record_use(timezone.now()):
        raise Http404("Template not found")


def _issues(template: ConversationTemplate, values: dict):
    for name, value in values.items():
        if name not in template.variables:
            message = "The template has no such variable"
            yield issue("unknown_variable", ["body", "values", name], message, value)
    for name, default in template.variables.items():
        if default is None and values.get(name) is None:
            yield issue("missing", ["body", "values", name], "Field required", None)
