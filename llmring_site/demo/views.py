"""The buttons of the empty dashboard and of the demo's notice."""

from datetime import UTC, datetime

from django.contrib import messages
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts import audit
from accounts.models import Project
from llmring_site.demo.project import AlreadyMade, make_demo, remove_demo


@require_POST
def make(request: HttpRequest) -> HttpResponse:
    """Make the demo project and show it. A second click finds it made."""
    _check(request)
    try:
        project = make_demo(audit.of_request(request), now=datetime.now(UTC))
        _note(request, project, ADDITION, "Made the demo project.")
        messages.success(request, "The demo project was made.")
    except AlreadyMade as error:
        project = error.project
        messages.info(request, str(error))
    return HttpResponseRedirect(f"{reverse('admin:index')}?project={project.pk}")


@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Remove the demo project, if there is one."""
    _check(request)
    if project := Project.objects.demo().first():
        remove_demo(project, audit.of_request(request))
        _note(request, project, DELETION, "Removed the demo project.")
        messages.success(request, "The demo project was removed.")
    return HttpResponseRedirect(reverse("admin:index"))


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm("accounts.make_demo"):
        raise PermissionDenied


def _note(request: HttpRequest, project: Project, flag: int, message: str) -> None:
    LogEntry.objects.log_actions(
        request.user.pk, [project], flag, change_message=message, single_object=True
    )
