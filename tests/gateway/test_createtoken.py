"""`manage.py createtoken`: one command to the first token."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, Project
from gateway.models import Token
from gateway.tokens import digest

pytestmark = pytest.mark.django_db


def createtoken(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("createtoken", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_token_is_printed_alone_and_once(db_all):
    out, err = createtoken()
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{22}\n", out)
    token = Token.objects.get()
    assert bytes(token.digest) == digest(out.strip()) and token.project.name == "default"
    assert timedelta(days=29) < token.expires_at - datetime.now(UTC) <= timedelta(days=30)
    assert "Shown once" in err and out.strip() not in err
    event = AuditEvent.objects.get(action="token.create")
    assert (event.action, event.actor) == ("token.create", "command:createtoken")
    assert event.token_id == token.id


def test_limits_and_the_project_that_is_there(project):
    _, err = createtoken(
        *("--project", "ours", "--days", "0", "--max-requests", "5"),
        *("--budget", "2.5", "--model", "gpt-4o*", "--name", "laptop"),
    )
    token = Token.objects.select_related("allowance").get()
    assert (token.project, token.expires_at, token.name) == (project, None, "laptop")
    assert (token.allowance.max_requests, token.allowed_models) == (5, ["gpt-4o*"])
    assert str(token.allowance.budget_usd) == "2.500000000000" and "valid forever" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--days", "-1"], "expires_in_days"),
        (["--budget", "much"], "budget_usd"),
        (["--max-requests", "-1"], "max_requests"),
        (["--project", " "], "project: This field cannot be blank"),
    ],
)
def test_bad_limit_is_refused_by_name_and_makes_nothing(db_all, arguments, reason):
    with pytest.raises(CommandError, match=reason):
        createtoken(*arguments)
    assert not Token.objects.exists() and not Project.objects.exists()


def test_archived_project_gets_none(project):
    Project.objects.update(archived_at=datetime.now(UTC))
    with pytest.raises(CommandError, match="archived"):
        createtoken("--project", "ours")
