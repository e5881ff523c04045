"""What Django's and unfold's admin do wrong in classes that no class of ours replaces.

Importing it changes these classes; core/admin.py does, which every page of ours needs.
"""

from django.contrib.admin.widgets import AutocompleteMixin
from django.core.exceptions import ValidationError
from unfold.fields import UnfoldAdminReadonlyField

from core.admin_display import may_view

_plain_admin_url = UnfoldAdminReadonlyField.get_admin_url


def _permitted_admin_url(self, remote_field, remote_obj) -> str:
    """Link a read-only foreign key only where the viewer may open it, unlike Django."""
    viewer = getattr(self.form.instance, "viewer", None)
    if viewer is None or may_view(viewer, remote_field.model._meta.label_lower):
        return _plain_admin_url(self, remote_field, remote_obj)
    return str(remote_obj)


UnfoldAdminReadonlyField.get_admin_url = _permitted_admin_url


_plain_optgroups = AutocompleteMixin.optgroups


def _readable_optgroups(self, name, value, attr=None) -> list:
    """Ignore values that are not ids of the related table: Django would fail on them."""
    return _plain_optgroups(self, name, [each for each in value if _is_id(self, each)], attr)


def _is_id(widget: AutocompleteMixin, value: object) -> bool:
    try:
        widget.field.target_field.to_python(value)
    except ValidationError:
        return False
    return True


AutocompleteMixin.optgroups = _readable_optgroups
