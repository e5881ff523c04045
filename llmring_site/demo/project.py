"""The demo project, which is made and removed in one transaction each."""

from datetime import datetime
from random import Random

from django.db import IntegrityError, transaction

from accounts import audit, keys
from accounts.models import Project
from aliases.bindings import Binding, bind_all
from conversations.demo import make_conversations
from core.scoping import Caller
from llmring_site.project_deletion import delete_rows
from mcp.demo import make_history
from receipts.demo import certify, forget_keys
from templates_app.demo import make_template
from usage.demo import PROFILE, make_calls, receipted

NAME = "Demo (invented data)"
_RECEIPTS = 30
_ALIASES = (
    Binding("fast", "openai:gpt-4o-mini"),
    Binding("smart", "anthropic:claude-sonnet-4"),
    Binding("local", "ollama:llama3.2"),
)


class AlreadyMade(Exception):
    """There is a demo project already. There is at most one."""

    def __init__(self, project: Project) -> None:
        super().__init__("There is a demo project already; nothing was added")
        self.project = project


class NotRemovable(Exception):
    """The project is not the demo project: real ones are archived before they are deleted."""


def make_demo(origin: audit.Origin, *, now: datetime) -> Project:
    """Store the demo project with 90 days of usage up to `now`. Raises AlreadyMade.

    Nothing is sent anywhere, and the text of its key is not kept: nobody can use it.
    """
    if project := Project.objects.demo().first():
        raise AlreadyMade(project)
    random = Random(7)  # the same demo everywhere
    try:
        with transaction.atomic():
            project = Project.objects.create(name=NAME, is_demo=True)
            audit.record("project.create", origin, project_id=project.id, name=NAME)
            key, _ = keys.issue_key(project, origin, name="demo, unusable")
            caller = Caller(project.id, key.id)
            calls = make_calls(caller, now=now, random=random)
            conversations = make_conversations(caller, now=now, random=random)
            certify(caller, receipted(calls, count=_RECEIPTS), now=now)
            make_history(caller, conversations, now=now, random=random)
            make_template(caller)
            bind_all(caller, PROFILE, _ALIASES)
    except IntegrityError:
        # Made concurrently: a constraint permits one.
        if project := Project.objects.demo().first():
            raise AlreadyMade(project) from None
        raise
    return project


def remove_demo(project: Project, origin: audit.Origin) -> None:
    """Remove the demo project with all of its rows, in one transaction.

    Raises NotRemovable for a project that `manage.py demo` did not make.
    """
    with transaction.atomic():
        if not Project.objects.demo().select_for_update().filter(pk=project.pk).exists():
            raise NotRemovable(f"{project} is not demo data, so it is not removed")
        id = project.pk
        rows = sum(rows for _, rows in delete_rows(project))
        # Counted like by `deleteproject`: without the project's own row.
        audit.record("project.delete", origin, project_id=id, rows=rows - 1)
        forget_keys(Caller(id))
