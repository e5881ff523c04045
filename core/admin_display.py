"""Values of the admin's columns and fields: links that the viewer may follow, and JSON."""

import json

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode


def may_view(user, model: str) -> bool:
    """Return whether a person may open pages of a model, such as `usage.usagelog`."""
    app, name = model.split(".")
    return any(user.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change"))


def admin_link(shown_on: Model, model: str, id: object, text: object = None) -> str:
    """Return a link to the page of a row; `model` is a label such as `usage.usagelog`.

    `shown_on` is the row whose page has the link. Without permission it is only the text.
    """
    if id is None:
        return "-"
    if not may_view(shown_on.viewer, model):
        return str(text or id)
    return row_link(model, id, text or id)


def row_link(model: str, id: object, text: object) -> str:
    """Return a link to the page of a row. Does not check permissions."""
    url = reverse(f"admin:{model.replace('.', '_')}_change", args=[id])
    return format_html('<a class="text-primary-600 underline" href="{}">{}</a>', url, text)


def list_link(shown_on: Model, model: str, query: dict, text: str) -> str:
    """Return a link to a model's list, narrowed by a query; a dash if the viewer may not see it."""
    if not may_view(shown_on.viewer, model):
        return "-"
    url = reverse(f"admin:{model.replace('.', '_')}_changelist")
    link = '<a class="text-primary-600 underline" href="{}?{}">{}</a>'
    return format_html(link, url, urlencode(query, doseq=True), text)


def pretty_json(value: object) -> str:
    """Return the value as indented JSON, for a read-only field."""
    return format_html('<pre style="white-space: pre-wrap">{}</pre>', indented_json(value))


def indented_json(value: object) -> str:
    """Return the value as indented JSON, with long decimals as strings."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
