"""The record of what changes access: complete, and never changed."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, transaction
from django.test import RequestFactory

from accounts import audit
from accounts.models import AuditEvent, User
from core.ids import uuid7

pytestmark = pytest.mark.django_db
_COMMAND = audit.of_command("createkey")


def test_event_says_who_when_and_from_where(project):
    request = RequestFactory().post(
        "/manage/tokens/sk-AaH7bbbbbbbbbbbbbbhDCQ", HTTP_USER_AGENT="curl/8", REMOTE_ADDR="10.1.2.3"
    )
    request.id, request.user = "r-1", User.objects.create_user("ann")

    event = audit.record(
        "token.update", audit.of_request(request), project_id=project.id, old=1, new=2
    )

    event.refresh_from_db()
    assert event.actor == f"user:{request.user.id}" and event.user_id == request.user.id
    assert (event.request_id, event.client_ip, event.user_agent) == ("r-1", "10.1.2.3", "curl/8")
    assert (event.method, event.path) == ("POST", "/manage/tokens/sk-…")
    assert (event.outcome, event.details) == ("success", {"old": 1, "new": 2})


@pytest.mark.parametrize("change", ["update", "delete"])
def test_events_are_never_changed(db_all, change):
    audit.record("key.create", _COMMAND)
    with pytest.raises(ProgrammingError, match="never changed"), transaction.atomic():
        rows = AuditEvent.objects.all()
        rows.update(actor="nobody") if change == "update" else rows.delete()
    assert AuditEvent.objects.get().actor == "command:createkey"


def test_retention_deletes_old_events_alone(db_all):
    audit.record("key.create", _COMMAND)
    old = datetime.now(UTC) - timedelta(days=40)
    AuditEvent.objects.create(id=uuid7(old), at=old, action="key.revoke", outcome="success")

    assert prune("--days", "30", "--dry-run") == "1 event older than 30 days"
    assert prune("--days", "30") == "1 event older than 30 days deleted"

    assert [event.action for event in AuditEvent.objects.all()] == ["audit.prune", "key.create"]
    with pytest.raises(CommandError, match="between 1 and 36500"):
        prune("--days", "0")


def prune(*arguments: str) -> str:
    out = StringIO()
    call_command("pruneaudit", *arguments, stdout=out)
    return out.getvalue().strip()
