"""The pages of a person's projects: list, create, rename, archive."""

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts import memberships, projects
from accounts.models import Membership, Role
from accounts.people.page_base import Page, to_page
from accounts.permissions import Action
from llmring_site.pages.base import PersonPage, QuestionPage, once
from llmring_site.pages.forms import ProjectForm

MAX_SHOWN = 500


class ProjectsPage(PersonPage, Page):
    """The person's projects, and the form for a new one."""

    template_name = "llmring_site/pages/projects.html"
    form_class = ProjectForm
    title, button = "Your projects", "Create the project"

    def get_context_data(self, **kwargs):
        rows = Membership.objects.filter(user=self.request.user).select_related("project__tier")
        shown = rows.order_by("-project_id")[:MAX_SHOWN]
        return {**super().get_context_data(**kwargs), "memberships": shown}

    def carry_out(self, data) -> HttpResponse:
        with once("This form has made its project already. It is in the list"):
            project = projects.create_project(
                self.request.user, data["name"], self.origin, id=data["form_id"]
            )
        return HttpResponseRedirect(reverse("project-home", args=[project.id]))


class RenamePage(QuestionPage):
    action = Action.ADMINISTER
    back = "project-plan"
    form_class = ProjectForm
    title, button = "Rename the project", "Rename"

    def get_initial(self):
        return {**super().get_initial(), "name": self.project.name}

    def carry_out(self, data) -> HttpResponse:
        projects.rename_project(self.project, data["name"], self.origin)
        return self.to("project-plan", "renamed")


class ArchivePage(QuestionPage):
    action = Action.ADMINISTER
    back = "project-plan"
    is_danger = True
    title, button = "Archive the project?", "Archive"
    text = (
        "All of its keys are refused everywhere within a second. Its data stays, but only the "
        "operator of the server can bring it back."
    )

    def find(self, **path) -> None:
        super().find(**path)
        if self.role != Role.OWNER:
            raise memberships.RoleRefused("Only an owner archives a project")

    def carry_out(self, data) -> HttpResponse:
        projects.archive_project(self.project.id, self.origin)
        return to_page("projects", "archived")
