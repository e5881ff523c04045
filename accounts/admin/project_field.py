"""The project in forms of the admin: found by its name, or named by its id."""

from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin_display import may_view


class ProjectField:
    """Takes the project's id from staff who may not search projects.

    Django's search field would be there all the same, and find nothing.
    """

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name != "project" or may_view(request.user, "accounts.project"):
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return db_field.formfield(
            widget=UnfoldAdminTextInputWidget(),
            help_text="Its id. To search projects, one needs the permission to view them.",
        )
