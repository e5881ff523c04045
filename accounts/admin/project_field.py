"""The field of a project in forms of the admin: a search, or an id."""

from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin_display import may_view


class ProjectField:
    """Lets staff who may not search projects enter an id.

    Django would show them a search field that finds nothing.
    """

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name != "project" or may_view(request.user, "accounts.project"):
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return db_field.formfield(
            widget=UnfoldAdminTextInputWidget(),
            help_text="Its id. To search projects, one needs the permission to view them.",
        )
