"""The record of what changes access: complete, and never changed."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import ProgrammingError, transaction
from django.test import RequestFactory

from accounts import audit
from accounts.models import AuditEvent, User

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
    now = datetime.now(UTC)

    assert audit.delete_before(now - timedelta(days=1)) == 0
    assert audit.delete_before(now + timedelta(minutes=1)) == 1
    assert not AuditEvent.objects.exists()
