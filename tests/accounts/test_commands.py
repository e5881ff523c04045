"""`manage.py createkey`, `listkeys`, `revokekey`."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Allowance, ApiKey, AuditEvent, Project
from gateway.models import Token
from llmring_site import project_deletion
from tests.client import ApiClient


def run(*arguments) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_created_key_opens_its_project(db_all):
    key = run("createkey", "acme", "--name", "laptop").strip()
    assert ApiClient(key).read("/api/v1/logs") == []
    assert ApiKey.objects.get().project == Project.objects.get(name="acme")
    run("createkey", "acme")
    assert (Project.objects.count(), ApiKey.objects.count()) == (1, 2)


@pytest.mark.parametrize("name", ["", " ", "x" * 256])
def test_project_without_a_proper_name_is_not_made(db_all, name):
    with pytest.raises(CommandError, match="project: "):
        run("createkey", name)
    assert not Project.objects.exists() and not ApiKey.objects.exists()
    run("createkey", " acme ", "--name", " laptop ")
    assert (Project.objects.get().name, ApiKey.objects.get().name) == ("acme", "laptop")


def test_key_with_too_long_a_name_is_not_made(db_all):
    with pytest.raises(CommandError, match="--name must be 255 characters long at most"):
        run("createkey", "acme", "--name", "x" * 256)
    assert not Project.objects.exists() and not ApiKey.objects.exists()


def test_created_key_can_expire(db_all):
    run("createkey", "acme", "--days", "30")
    key = ApiKey.objects.get()
    assert (key.expires_at - key.created_at).days in (29, 30)
    with pytest.raises(CommandError):
        run("createkey", "acme", "--days", "0")


def test_created_key_can_have_scopes_and_is_recorded(db_all):
    key = run("createkey", "acme", "--scope", "read").strip()
    ApiClient(key).send("POST", "/api/v1/templates", {"name": "t"}, expect=403)
    run("revokekey", key)
    events = AuditEvent.objects.order_by("id").values_list("action", "actor")
    assert list(events) == [
        ("project.create", "command:createkey"),
        ("key.create", "command:createkey"),
        ("key.revoke", "command:revokekey"),
    ]
    details = AuditEvent.objects.get(action="key.create").details
    assert details == {"hint": key[:12], "name": "", "scopes": ["read"]}


def test_list_in_80_columns_names_what_can_be_revoked(api, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ApiKey.issue(Project.objects.create(name="[red]" + "long " * 40), name="n" * 200)
    output = run("listkeys")
    assert max(map(len, output.splitlines())) <= 80
    assert "[red]" in output and "2 keys" in output and api.key not in output
    for key in ApiKey.objects.all():
        assert str(key.id) in output and key.hint in output
    run("revokekey", next(word for word in output.split() if word.startswith("0")))
    assert ApiKey.objects.filter(revoked_at__isnull=False).count() == 1


def test_names_of_strangers_cannot_rewrite_the_terminal(api):
    """An escape sequence may hide lines, or fill the clipboard."""
    project = Project.objects.create(name="\x1b]52;c;cm0=\x07")
    key, _ = ApiKey.issue(project, name="\x1b[2J\rnobody")
    output = run("listkeys")
    assert "?]52;c;cm0=?" in output and "?[2J?nobody" in output
    output += run("revokekey", str(key.id))
    output += run("deleteproject", str(project.id), "--dry-run")
    output += run("deleteproject", str(project.id), "--archive")
    assert not set(output) & set("\x1b\x07\r")


def test_list_of_an_unknown_project_says_so(db_all):
    with pytest.raises(CommandError, match="no project nobody"):
        run("listkeys", "--project", "nobody")


@pytest.mark.parametrize("by", ["id", "text"])
def test_revoked_key_no_longer_opens(api, by):
    run("revokekey", str(api.api_key_id) if by == "id" else api.key)
    assert ApiKey.objects.get().state == "revoked"
    with pytest.raises(CommandError, match="revoked before"):
        run("revokekey", api.key)


def test_unknown_key_cannot_be_revoked(db_all):
    with pytest.raises(CommandError, match="no such key"):
        run("revokekey", "llmr_pk_0")


def test_a_name_means_the_project_in_use(db_all):
    """Also where an older one of the name is archived."""
    Project.objects.create(name="acme", archived_at=timezone.now())
    in_use = Project.objects.create(name="acme")
    key = run("createkey", "acme").strip()
    assert ApiClient(key).read("/api/v1/logs") == []
    assert ApiKey.objects.get().project == in_use
    run("createtoken", "--project", "acme")
    assert AuditEvent.objects.get(action="token.create").project_id == in_use.id


def test_archived_project_gets_no_key(db_all):
    project = Project.objects.create(name="acme", archived_at=timezone.now())
    for name in ("acme", str(project.id)):
        with pytest.raises(CommandError, match="archived"):
            run("createkey", name)
    assert not ApiKey.objects.exists()


def test_what_tokens_could_use_is_deleted_although_the_first_run_was_interrupted(db_all):
    project = Project.objects.create(name="acme", archived_at=timezone.now())
    for n in range(2):
        allowance = Allowance.objects.create(budget_usd=10)
        digest, hint = bytes([n]) * 32, "sk-…"
        Token.objects.create(project=project, allowance=allowance, digest=digest, hint=hint)
    for table, _ in project_deletion.delete_rows(project, batch=1):
        if table == "gateway_tokens":
            break  # as by Ctrl-C
    assert (Token.objects.count(), Allowance.objects.count()) == (1, 1)
    run("deleteproject", str(project.id))
    assert not Allowance.objects.exists() and not Project.objects.exists()
