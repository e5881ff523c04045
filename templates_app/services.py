"""Using a template: its values are checked, its texts filled, its use counted."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Greatest
from django.http import Http404
from django.utils import timezone

from core import json_writer
from core.errors import InvalidInput, issue
from core.scoping import Caller
from templates_app import rendering
from templates_app.models import ConversationTemplate, TemplateVersion

NOT_FOUND = "Template not found"


def get_template(caller: Caller, template_id: UUID) -> ConversationTemplate:
    """Return the template, which the caller may use. Raises Http404."""
    template = ConversationTemplate.objects.visible_to(caller).filter(id=template_id).first()
    if template is None:
        raise Http404(NOT_FOUND)
    return template


def change(template: ConversationTemplate, changes: dict[str, Any], *, author: str) -> None:
    """Store the changes, and keep the text that they replace as a version."""
    row = ConversationTemplate.objects.filter(id=template.id)
    with transaction.atomic():
        stored = row.select_for_update().get()
        if _changes_text(stored, changes):
            TemplateVersion.objects.keep(stored, author=author)
        row.update(**changes, updated_at=Greatest("updated_at", timezone.now()))


def _changes_text(stored: ConversationTemplate, changes: dict[str, Any]) -> bool:
    """Return whether the changes replace anything that versions keep.

    Compared as JSON: to Python, true and 1 are equal, but texts are filled differently.
    """
    members = stored.members()
    new = {name: value for name, value in changes.items() if name in members}
    old = {name: members[name] for name in new}
    return json_writer.dumps(old, sort_keys=True) != json_writer.dumps(new, sort_keys=True)


def use(template: ConversationTemplate, values: dict[str, Any] | None) -> dict[str, Any] | None:
    """Count one use and return the template's texts, filled; None without values.

    Nothing is counted when that fails. Raises InvalidInput, and Http404 for a template
    deleted meanwhile.
    """
    rendered = None if values is None else _render(template, values)
    active = ConversationTemplate.objects.filter(id=template.id, is_active=True)
    if not active.record_use(timezone.now()):
        raise Http404(NOT_FOUND)
    return rendered


def _render(template: ConversationTemplate, values: dict[str, Any]) -> dict[str, Any]:
    if issues := list(_issues(template, values)):
        raise InvalidInput(issues)
    try:
        return template.render(values)
    except rendering.TooLong:
        limit = settings.MAX_BODY_BYTES
        message = f"The filled template would have more than {limit} characters"
        raise InvalidInput([issue("too_long", ["body", "values"], message, None)]) from None


def _issues(template: ConversationTemplate, values: dict[str, Any]):
    for name, value in values.items():
        if name not in template.variables:
            message = "The template has no such variable"
            yield issue("unknown_variable", ["body", "values", name], message, value)
    for name, default in template.variables.items():
        if default is None and values.get(name) is None:
            yield issue("missing", ["body", "values", name], "Field required", None)
