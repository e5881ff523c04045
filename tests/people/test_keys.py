"""C01 to C04: what keys may do, what may be given to them, and how they end."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import InternalError
from django.utils import timezone

from accounts import admission, key_cache, key_uses
from accounts.models import ApiKey, AuditEvent, Project, RetiredKey
from core.database import raw_connection
from tests import openapi
from tests.client import ApiClient
from tests.threads import at_once

CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
SOME_ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


def client_with(project, **columns) -> ApiClient:
    row, text = ApiKey.issue(project, **columns)
    client = ApiClient(text)
    client.row = row
    return client


LOG_ROUTES = {
    ("POST", "/api/v1/log"),
    ("POST", "/api/v1/log/batch"),
    *(("POST", f"{prefix}/conversations") for prefix in ("", "/api/v1")),
    *(("POST", f"{prefix}/conversations/log") for prefix in ("", "/api/v1")),
    *(
        ("POST", f"{prefix}/conversations/{{conversation_id}}/{name}")
        for prefix in ("", "/api/v1")
        for name in ("messages", "messages/batch")
    ),
}
FOR_ALL = {("GET", "/api/v1/keys"), ("GET", "/api/v1/keys/{key_id}"), ("GET", "/api/v1/audit")}
BY_MESSAGE = ("POST", "/mcp")


def operations():
    for path, methods in openapi.document()["paths"].items():
        for method, operation in methods.items():
            if any("ApiKey" in each for each in operation.get("security", [])):
                yield method.upper(), path


def permitted(method: str, path: str) -> set[str]:
    """The scopes that the documents' table gives a route to."""
    if (method, path) in LOG_ROUTES:
        return {"log", "all"}
    if (method, path) in FOR_ALL:
        return {"all"}
    return {"read", "all"} if method == "GET" or (method, path) == BY_MESSAGE else {"all"}


@pytest.mark.parametrize("scopes", [["read"], ["log"], ["all"], [], ["unknown"]], ids=str)
def test_c01_the_table_of_scopes_holds_on_every_route(project, scopes, way):
    client = client_with(project, scopes=scopes)
    routes = list(operations())
    assert len(routes) > 60
    for method, path in routes:
        filled = "/".join(SOME_ID if part[:1] == "{" else part for part in path.split("/"))
        # Of an unknown row 404 comes first, whatever the scope.
        response = client.generic(method, filled, "{}", content_type="application/json")
        if permitted(method, path) & {*scopes}:
            assert response.status_code != 403, (method, path)
        else:
            assert response.status_code in ((403, 404, 422) if "{" in path else (403,)), (
                method,
                path,
                response.status_code,
                response.content,
            )


def test_c01_a_log_key_reads_back_nothing_but_its_reply(project, way):
    client = client_with(project, scopes=["log"])
    key = {"HTTP_IDEMPOTENCY_KEY": "once"}
    first = client.send("POST", "/api/v1/log", CALL, **key)
    assert client.send("POST", "/api/v1/log", CALL, **key) == first
    batch = client.send("POST", "/api/v1/log/batch", {"logs": [CALL]})
    assert batch["created"] == 1
    conversation = client.send("POST", "/api/v1/conversations", {"title": "t"})
    path = f"/api/v1/conversations/{conversation['id']}"
    client.send("POST", f"{path}/messages", {"role": "user", "content": "x"})
    client.read(path, expect=403)
    for route in ("logs", "stats", "conversations", "logs/export"):
        client.read(f"/api/v1/{route}", expect=403)


def test_c01_403_does_not_prove_that_a_row_exists(api, other_project, way):
    conversation = api.send("POST", "/api/v1/conversations", {"title": "t"})
    stranger = client_with(other_project, scopes=["read"])
    path = f"/api/v1/conversations/{conversation['id']}"
    for method, body in [("PATCH", {"title": "x"}), ("DELETE", None)]:
        stranger.send(method, path, body, expect=404)
    stranger.send("POST", f"{path}/messages", {"role": "user", "content": "x"}, expect=404)
    own = client_with(api.project, scopes=["read"])
    own.send("PATCH", path, {"title": "x"}, expect=403)
    own.send("POST", f"{path}/messages", {"role": "user", "content": "x"}, expect=403)


def test_c01_rows_that_are_named_need_no_id(api, project, way):
    """Aliases and receipts have names of their project; another project's row has none in it."""
    api.send("POST", "/api/v1/aliases/bind", {"alias": "a/fast", "model": "openai:gpt-4o"})
    reader, writer = (client_with(project, scopes=[scope]) for scope in ("read", "log"))

    writer.read("/api/v1/aliases/a/fast", expect=403)
    reader.send("PUT", "/api/v1/aliases/a/fast", {"model": "x:y"}, expect=403)
    reader.send("PUT", "/api/v1/aliases/new", {"model": "x:y"}, expect=403)
    reader.send("DELETE", "/api/v1/aliases/a/fast", expect=403)

    receipt = writer.read("/api/v1/receipts/rcpt_1", expect=404)
    assert receipt == {"detail": "Receipt not found"}
    conversation = reader.send("DELETE", f"/conversations/{SOME_ID}", expect=404)
    assert conversation == {"detail": "Conversation not found"}
    assert reader.read("/api/v1/aliases/a/fast")["model"] == "openai:gpt-4o"


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read"])
def test_c01_read_calls_nothing_by_mcp(project, method):
    client = client_with(project, scopes=["read"])
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "x", "uri": "x"}}
    client.send("POST", "/mcp", message, expect=403)
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert client.send("POST", "/mcp", listing)["result"]["tools"] == []


@pytest.fixture
def people(person, ana):
    """Ana's project with an admin, a member and a viewer."""
    from accounts.models import Membership

    found = {"owner": ana}
    for role in ("admin", "member", "viewer"):
        found[role] = person(f"{role}@example.com", is_verified=True)
        Membership.objects.create(
            user=found[role].user, project_id=ana.account["project_id"], role=role
        )
    for each in found.values():
        each.defaults["HTTP_X_PROJECT_ID"] = ana.account["project_id"]
    return found


def test_viewer_makes_no_key_and_sees_none(people):
    viewer = people["viewer"]
    before = ApiKey.objects.count()
    viewer.send("POST", "/api/v1/keys", {"name": "x"}, expect=403)
    viewer.read("/api/v1/keys", expect=403)
    assert viewer.read("/api/v1/logs") == []
    assert ApiKey.objects.count() == before


@pytest.mark.parametrize("role", ["owner", "admin", "member"])
def test_members_make_keys(people, role):
    reply = people[role].send("POST", "/api/v1/keys", {"name": "x", "scopes": ["log"]})
    ApiClient(reply["api_key"]).send("POST", "/api/v1/log", CALL)
    row = ApiKey.objects.get(id=reply["id"])
    assert (row.created_by_id, row.scopes) == (people[role].user.id, ["log"])


@pytest.mark.parametrize(
    ("role", "scopes"),
    [("owner", ["all"]), ("admin", ["all"]), ("member", ["read", "log"])],
)
@pytest.mark.parametrize("body", [{}, {"scopes": None}], ids=str)
def test_a_key_may_by_default_what_its_maker_may_give(people, role, scopes, body):
    reply = people[role].send("POST", "/api/v1/keys", body)
    assert reply["scopes"] == ApiKey.objects.get(id=reply["id"]).scopes == scopes
    client = ApiClient(reply["api_key"])
    client.send("POST", "/api/v1/log", CALL)
    assert len(client.read("/api/v1/logs")) == 1


def test_c02_a_member_makes_no_key_of_everything(people):
    people["member"].send("POST", "/api/v1/keys", {"scopes": ["all"]}, expect=403)


@pytest.mark.parametrize(
    ("role", "scopes"), [("admin", ["all"]), ("member", ["read", "log"]), ("viewer", ["read"])]
)
def test_a_logins_key_may_what_the_person_may(people, browser, role, scopes):
    member = people[role]
    own = Project.objects.filter(memberships__user=member.user, memberships__role="owner")
    own.update(archived_at=timezone.now())
    client = ApiClient(browser().log_in(member.email)["api_key"])
    assert ApiKey.objects.filter(created_by=member.user).first().scopes == scopes
    client.send("POST", "/api/v1/log", CALL, expect=403 if role == "viewer" else 200)
    client.read("/api/v1/logs")


def test_c02_a_key_makes_no_key_that_may_more(project):
    soon = timezone.now() + timedelta(days=1)
    client = client_with(project, expires_at=soon)
    client.send("POST", "/api/v1/keys", {}, expect=403)
    later = (soon + timedelta(days=1)).isoformat()
    client.send("POST", "/api/v1/keys", {"expires_at": later}, expect=403)
    own = str(client.row.id)
    client.send("PATCH", f"/api/v1/keys/{own}", {"expires_at": None}, expect=403)
    client.send("PATCH", f"/api/v1/keys/{own}", {"expires_at": later}, expect=403)
    client.send("POST", f"/api/v1/keys/{own}/rotate", {"expires_at": later}, expect=403)
    eternal = client_with(project)
    client.send("POST", f"/api/v1/keys/{eternal.row.id}/rotate", {}, expect=403)
    earlier = (soon - timedelta(hours=1)).isoformat()
    for body in ({"name": "mine"}, {"expires_at": earlier}):
        client.send("PATCH", f"/api/v1/keys/{eternal.row.id}", body, expect=403)
    client.send("POST", "/api/v1/keys", {"expires_at": earlier})
    for scopes in (["read"], ["log"], ["read", "log"]):
        small = client_with(project, scopes=scopes)
        small.send("POST", "/api/v1/keys", {}, expect=403)
        small.send("PATCH", f"/api/v1/keys/{small.row.id}", {"scopes": ["all"]}, expect=403)


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": ["root"]},
        {"scopes": "all"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": 1e308},
        {"name": "x" * 256},
    ],
    ids=str,
)
def test_c02_senseless_grants_are_422(api, body):
    before = ApiKey.objects.values().get(id=api.api_key_id)
    api.send("POST", "/api/v1/keys", body, expect=422)
    api.send("PATCH", f"/api/v1/keys/{api.api_key_id}", body, expect=422)
    assert ApiKey.objects.values().get() == before


def test_c02_members_of_a_body_that_are_not_the_callers_are_refused(api, other_project):
    before = ApiKey.objects.values().get(id=api.api_key_id)
    for name, value in {
        "project_id": str(other_project.id),
        "created_by": SOME_ID,
        "is_from_login": True,
        "tier": "team",
        "limit": 10**9,
        "budget": "NaN",
        "revoked_at": None,
        "digest": "00",
        "id": SOME_ID,
        "user": {"is_staff": True},
        "scope": ["log"],  # misspelled, it would be a key of all scopes
        "expires": "2999-01-01T00:00:00Z",
    }.items():
        body, own = {"name": "x", name: value}, f"/api/v1/keys/{api.api_key_id}"
        for method, path in [("POST", "/api/v1/keys"), ("PATCH", own), ("POST", f"{own}/rotate")]:
            (fault, *_) = api.send(method, path, body, expect=422)["detail"][-1:]
            assert (fault["type"], fault["loc"]) == ("extra_forbidden", ["body", name])
    assert ApiKey.objects.values().get() == before


def test_c02_ten_thousand_unknown_members_are_refused_in_few_words(api):
    body = {f"{n:06}" * 50: n for n in range(10_000)}
    faults = api.send("POST", "/api/v1/keys", body, expect=422)["detail"]
    assert len(faults) == 10 and len(str(faults)) < 10_000
    assert {fault["type"] for fault in faults} == {"extra_forbidden"}


def test_c02_a_project_in_the_query_does_not_get_the_key(api, other_project):
    made = api.send("POST", f"/api/v1/keys?project_id={other_project.id}", {"name": "x"})
    row = ApiKey.objects.get(id=made["id"])
    assert (row.project_id, row.created_by_id, row.is_from_login) == (api.project.id, None, False)


def rotate(client, key_id, *, expect: int = 200, key: str = "", **body):
    extra = {"HTTP_IDEMPOTENCY_KEY": key} if key else {}
    return client.send("POST", f"/api/v1/keys/{key_id}/rotate", body, expect=expect, **extra)


def works(text: str) -> bool:
    return ApiClient(text).get("/api/v1/logs").status_code == 200


def pass_time(key_id, delta: timedelta) -> None:
    row = ApiKey.objects.get(id=key_id)
    row.previous_expires_at -= delta
    row.save()


def test_name_of_a_key_is_optional_and_loses_its_blanks(api):
    assert api.send("POST", "/api/v1/keys", {"name": " "})["name"] == ""
    made = api.send("POST", "/api/v1/keys", {"name": " laptop "})
    assert made["name"] == "laptop"
    assert api.send("PATCH", f"/api/v1/keys/{made['id']}", {"name": " old "})["name"] == "old"


@pytest.mark.parametrize("days", [None, 30], ids=["eternal", "of a month"])
def test_c03_both_values_work_until_the_overlap_ends(api, project, days):
    end = days and (timezone.now() + timedelta(days)).isoformat()
    made = api.send("POST", "/api/v1/keys", {"name": "k", "expires_at": end})
    new = rotate(api, made["id"], overlap_seconds=86_400)
    assert new["id"] == made["id"] and new["api_key"] != made["api_key"]
    assert works(made["api_key"]) and works(new["api_key"])
    pass_time(made["id"], timedelta(hours=24))
    assert not works(made["api_key"]) and works(new["api_key"])
    event = AuditEvent.objects.get(action="key.rotate")
    assert str(event.api_key_id) == made["id"]


def test_c03_at_most_two_values_are_alive(api):
    made = api.send("POST", "/api/v1/keys", {})
    second = rotate(api, made["id"])
    third = rotate(api, made["id"])
    alive = [works(each["api_key"]) for each in (made, second, third)]
    assert alive == [False, True, True]


def test_c03_overlap_zero_ends_the_old_value_at_once(api):
    made = api.send("POST", "/api/v1/keys", {})
    new = rotate(api, made["id"], overlap_seconds=0)
    assert not works(made["api_key"]) and works(new["api_key"])
    assert new["previous_expires_at"] is None


def test_c03_a_short_lived_key_stays_short_lived(api):
    end = timezone.now() + timedelta(hours=1)
    made = api.send("POST", "/api/v1/keys", {"expires_at": end.isoformat()})
    new = rotate(api, made["id"], overlap_seconds=86_400)
    row = ApiKey.objects.get(id=made["id"])
    assert row.expires_at == row.previous_expires_at == end
    assert new["expires_at"] == made["expires_at"]
    longer = end + timedelta(days=1)
    rotate(api, made["id"], expires_at=longer.isoformat())
    row.refresh_from_db()
    assert row.expires_at == longer and row.previous_expires_at == end


def test_c03_a_repeated_rotation_makes_no_third_value(api):
    made = api.send("POST", "/api/v1/keys", {})
    new = rotate(api, made["id"], key="once")
    rotate(api, made["id"], key="once", expect=409)
    assert works(new["api_key"]) and works(made["api_key"])
    assert new["api_key"].encode() not in repr(list(ApiKey.objects.values())).encode()


@pytest.mark.django_db(transaction=True)
def test_c03_of_parallel_rotations_one_wins(api):
    made = api.send("POST", "/api/v1/keys", {})
    path = f"/api/v1/keys/{made['id']}/rotate"

    def turn():
        return ApiClient(api.key).post(path, {}, content_type="application/json")

    replies = at_once(turn, turn, turn, turn)
    statuses = sorted(each.status_code for each in replies)
    # Those that read the key after another one had finished are rotations of their own.
    assert statuses[0] == 200 and set(statuses) <= {200, 409}
    winners = [each.json() for each in replies if each.status_code == 200]
    texts = [made["api_key"], *(each["api_key"] for each in winners)]
    assert sum(works(text) for text in texts) == 2


def test_c03_revoking_ends_both_values(api):
    made = api.send("POST", "/api/v1/keys", {})
    new = rotate(api, made["id"])
    assert api.send("POST", f"/api/v1/keys/{made['id']}/revoke")["state"] == "revoked"
    assert not works(made["api_key"]) and not works(new["api_key"])
    assert api.read(f"/api/v1/keys/{made['id']}")["previous_expires_at"] is None
    rotate(api, made["id"], expect=409)


def test_only_what_changes_a_key_is_on_record(api):
    made = api.send("POST", "/api/v1/keys", {"name": "k", "scopes": ["log"]})
    for body in ({}, {"name": "k"}, {"scopes": ["log"], "expires_at": None}):
        api.send("PATCH", f"/api/v1/keys/{made['id']}", body)
    assert not AuditEvent.objects.filter(action="key.change").exists()
    api.send("PATCH", f"/api/v1/keys/{made['id']}", {"name": "k", "scopes": ["read"]})
    changes = {"old": {"scopes": ["log"]}, "new": {"scopes": ["read"]}}
    details = AuditEvent.objects.get(action="key.change").details
    assert details == {"hint": made["hint"], **changes}


def test_c03_an_earlier_end_of_the_key_ends_its_overlap(api):
    made = api.send("POST", "/api/v1/keys", {})
    rotate(api, made["id"], overlap_seconds=86_400)
    end = (timezone.now() + timedelta(hours=1)).isoformat()
    changed = api.send("PATCH", f"/api/v1/keys/{made['id']}", {"expires_at": end})
    assert changed["previous_expires_at"] == changed["expires_at"]


def test_c03_two_values_are_one_key_with_one_sum(api, project):
    """Two calls of 1.25 dollars each, by both values."""
    made = api.send("POST", "/api/v1/keys", {})
    new = rotate(api, made["id"])
    for text in (made["api_key"], new["api_key"]):
        ApiClient(text).send("POST", "/api/v1/log", {**CALL, "cost": 1.25})
    assert api.read(f"/api/v1/keys/{made['id']}")["cost_this_month"] == "2.5"
    assert Decimal(api.read("/api/v1/stats")["by_api_key"][made["id"]]["cost"]) == Decimal("2.5")


HEADERS = ["HTTP_X_API_KEY", "HTTP_X_PROJECT_KEY", "HTTP_AUTHORIZATION"]


def refused_everywhere(text: str) -> None:
    projects = Project.objects.count()
    for header in HEADERS:
        value = f"Bearer {text}" if header == "HTTP_AUTHORIZATION" else text
        for method, path in [("GET", "/api/v1/logs"), ("POST", "/api/v1/log"), ("POST", "/mcp")]:
            client = ApiClient()
            body = CALL if method == "POST" else None
            reply = client.send(method, path, body, expect=401, **{header: value})
            assert text not in str(reply)
        template = {"name": "t"}
        ApiClient().send("POST", "/api/v1/templates", template, expect=401, **{header: value})
    assert Project.objects.count() == projects


def archive(client):
    Project.objects.filter(id=client.project.id).update(archived_at=timezone.now())


def delete_project(client):
    call_command("deleteproject", str(client.project.id), "--archive")


ENDS = {
    "revoked": lambda client: client.project.api_keys.all().revoke(),
    "expired": lambda client: client.project.api_keys.update(expires_at=timezone.now()),
    "row deleted": lambda client: ApiKey.objects.all().delete(),
    "project archived": archive,
    "project deleted": delete_project,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_c04_gone_is_gone_where_unknown_keys_are_welcome(api, bridge_mode, way, end):
    api.send("POST", "/api/v1/log", CALL)
    end(api)
    refused_everywhere(api.key)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_c04_a_key_that_its_client_brought_is_gone_too(db_all, bridge_mode, end):
    client = ApiClient("brought-by-its-client")
    client.send("POST", "/api/v1/log", CALL)
    client.project = Project.objects.get()
    end(client)
    refused_everywhere("brought-by-its-client")


def test_c04_a_rotated_value_is_gone_after_the_row_was_deleted(api, bridge_mode):
    made = api.send("POST", "/api/v1/keys", {})
    second, third = rotate(api, made["id"]), rotate(api, made["id"])
    ApiKey.objects.filter(id=made["id"]).delete()
    for each in (made, second, third):
        refused_everywhere(each["api_key"])
    assert RetiredKey.objects.count() == 3


def test_c04_the_owner_deletes_the_account(ana, bridge_mode):
    key = ana.account["api_key"]
    body = {"password": "correct horse battery"}
    ana.send("POST", "/api/v1/auth/delete-account", body, expect=409)
    ana.send("POST", f"/api/v1/projects/{ana.account['project_id']}/archive")
    ana.send("POST", "/api/v1/auth/delete-account", {"password": "wrong"}, expect=403)
    ana.send("POST", "/api/v1/auth/delete-account", body)
    refused_everywhere(key)
    assert not ana.is_logged_in


def test_c04_a_key_ends_at_the_moment_it_was_told(project, monkeypatch):
    """Valid before T; refused at T and after, with no help from a cache."""
    end = timezone.now() + timedelta(days=1)
    client = client_with(project, expires_at=end)
    monkeypatch.setattr(key_cache.KeyListener, "is_healthy", True)
    for delta, status in [
        (timedelta(milliseconds=-1), 200),
        (timedelta(), 401),
        (timedelta(seconds=1), 401),
    ]:
        monkeypatch.setattr(timezone, "now", lambda delta=delta: end + delta)
        client.read("/api/v1/logs", expect=status)


def test_last_use_is_written_at_most_once_a_minute(api, django_assert_num_queries):
    api.send("POST", "/api/v1/log", CALL)
    assert key_uses.write(now=1000.0) >= 1
    assert api.read(f"/api/v1/keys/{api.api_key_id}")["last_used_at"] is not None
    for now in (1001.0, 1059.0):
        with django_assert_num_queries(0):
            key_uses.note(api.api_key_id)
            assert key_uses.write(now=now) == 0
    assert key_uses.write(now=1060.0) == 1


def test_last_uses_are_written_again_after_a_server_that_was_read_only(api, monkeypatch, caplog):
    """As after a failover to a replica: that is no lost connection."""

    def refuse():
        raise InternalError("cannot execute INSERT in a read-only transaction")

    api.send("POST", "/api/v1/log", CALL)
    with monkeypatch.context() as replica:
        replica.setattr(key_uses, "write", refuse)
        key_uses.writer.poll()
    assert "uses of keys were not written" in caplog.text
    key_uses.writer.poll()
    assert api.read(f"/api/v1/keys/{api.api_key_id}")["last_used_at"] is not None


@pytest.mark.django_db(transaction=True)
def test_last_use_does_not_wake_the_key_caches(api):
    api.read("/api/v1/logs")
    with raw_connection.connect() as own:
        own.execute(f"LISTEN {key_cache.CHANNEL}")
        assert key_uses.write(now=10_000.0) >= 1
        own.execute(f"NOTIFY {key_cache.CHANNEL}, 'ours'")
        # They arrive in the order of the commits.
        assert [heard.payload for heard in own.notifies(timeout=5, stop_after=1)] == ["ours"]


def test_sessions_are_refused_in_archived_projects(ana):
    project_id = ana.account["project_id"]
    ana.send("POST", f"/api/v1/projects/{project_id}/archive")
    ana.read("/api/v1/logs", HTTP_X_PROJECT_ID=project_id, expect=403)
    assert ana.read(f"/api/v1/projects/{project_id}")["archived_at"] is not None


def test_scopes_are_cached_with_the_caller(project):
    row, text = ApiKey.issue(project, scopes=["log"])
    assert admission.authenticate_key(text).permissions == {admission.Action.LOG}


def test_another_projects_keys_are_not_found(api, other_api):
    path = f"/api/v1/keys/{api.api_key_id}"
    other_api.read(path, expect=404)
    for name in ("revoke", "rotate"):
        other_api.send("POST", f"{path}/{name}", {}, expect=404)
    other_api.send("PATCH", path, {"name": "x"}, expect=404)
    assert [each["id"] for each in other_api.read("/api/v1/keys")] == [str(other_api.api_key_id)]
