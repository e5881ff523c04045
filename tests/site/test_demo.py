"""E1: demo data can be told apart, made once, and taken away."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from accounts.models import ApiKey, Project
from conversations.models import Conversation
from mcp.models import Server, ToolExecution
from receipts import server_keys
from receipts.models import Receipt, ReceiptKey
from tests.days import today
from tests.site.test_dashboard import a1, boss, dashboard, person, tile
from usage.models import UsageLog

__all__ = ["a1", "boss", "person"]
pytestmark = pytest.mark.slow  # each makes the demo data


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("demo", *arguments, stdout=out)
    return out.getvalue()


# They outlive what they name: who did what, and digests that must open nothing again.
KEPT = {"accounts.AuditEvent", "accounts.RetiredKey"}


def counts() -> dict[str, int]:
    return {
        model._meta.label: model._base_manager.count()
        for model in apps.get_models()
        if model._meta.label not in KEPT
    }


def exports(api) -> list[bytes]:
    """What a client of the project can read of it."""
    paths = ("/api/v1/stats", "/api/v1/logs", "/api/v1/logs/export", "/api/v1/receipts")
    replies = [api.get(path) for path in paths]
    return [
        b"".join(reply.streaming_content) if reply.streaming else reply.content for reply in replies
    ]


@pytest.fixture
def demo(db_all) -> Project:
    run()
    return Project.objects.demo().get()


def test_e1_made_removed_and_made_again(a1, api, boss):
    before, own, tiles = counts(), exports(api), tile(dashboard(boss), "7 days, today included")
    run()
    assert counts()["accounts.Project"] == before["accounts.Project"] + 1
    made = counts()
    assert "nothing was added" in run()
    assert counts() == made
    assert exports(api) == own
    assert tile(dashboard(boss), "7 days, today included") == tiles
    [name] = Project.objects.demo().values_list("name", flat=True)
    assert f"Removed project {name}" in run("--remove")
    assert counts() == before
    assert exports(api) == own
    run()
    assert counts() == made


def test_e1_ninety_days_with_nights_weekends_and_errors(demo):
    logs = UsageLog.objects.filter(project_id=demo.id)
    days = sorted({log.created_at.date() for log in logs})
    assert (days[0], days[-1]) >= (today() - timedelta(days=89), today() - timedelta(days=1))
    assert len(days) in (89, 90)
    by_day = dict.fromkeys(days, 0)
    for log in logs:
        by_day[log.created_at.date()] += 1
        assert log.created_at <= datetime.now(UTC)
    weekend = [count for day, count in by_day.items() if day.weekday() >= 5]
    week = [count for day, count in by_day.items() if day.weekday() < 5 and day != today()]
    assert sum(weekend) / len(weekend) < sum(week) / len(week) / 2
    night = sum(log.created_at.hour < 5 for log in logs)
    assert 0 < night < len(logs) / 10
    assert {"settled", "failed", "unknown"} == {log.usage_status for log in logs}
    assert any(log.cost is None for log in logs) and any(log.cost == 0 for log in logs)


def test_e1_it_is_marked_everywhere(demo, boss):
    assert "demo" in demo.name.lower()
    logs = UsageLog.objects.filter(project_id=demo.id)
    assert {log.profile for log in logs} == {"demo"}
    assert all(log.metadata == {"demo": True} for log in logs)
    receipts = list(Receipt.objects.filter(project_id=demo.id))
    assert len(receipts) == 30
    server_keys.clear_cache()  # an earlier test may have read the keys just now
    for receipt in receipts:
        assert receipt.profile == "demo" and receipt.key_id.startswith("demo-")
        assert receipt.is_verified
    conversations = Conversation.objects.filter(project_id=demo.id)
    assert all(row.title.startswith("Demo: ") for row in conversations) and conversations
    servers = Server.objects.filter(project_id=demo.id)
    assert all("demo" in row.name for row in servers) and servers
    page = dashboard(boss, demo)
    assert "This is demo data" in page.text
    assert "There is a demo project, which is in no total" in dashboard(boss).text


def test_e1_who_sees_no_figures_is_led_to_none(demo, boss, django_user_model):
    clerk = django_user_model.objects.create_user(
        "clerk", password="a long password", is_staff=True
    )
    clerk.user_permissions.add(Permission.objects.get(codename="view_project"))
    assert dashboard(boss).href("Look at the demo") == f"/admin/?project={demo.id}"
    page = dashboard(person(clerk))
    assert "There is a demo project" in page.text and "Look at the demo" not in page.text


def test_e1_exports_of_it_say_demo(demo):
    from tests.client import ApiClient

    client = ApiClient.of(demo)
    lines = b"".join(client.get("/api/v1/logs/export").streaming_content).splitlines()
    assert lines and all(json.loads(line)["profile"] == "demo" for line in lines)
    text = b"".join(client.get("/api/v1/logs/export?format=csv").streaming_content).decode()
    assert {row["profile"] for row in csv.DictReader(io.StringIO(text))} == {"demo"}


def test_e1_each_panel_shows_something(demo, boss):
    page = dashboard(boss, demo)
    panels = page.text.split("Latency and errors")[1]
    assert "in-house:tuned-summarizer-7b" in panels
    assert "demo warehouse" in panels and "fails: demo: connection refused" in panels
    assert "failed calls 0 " not in panels and "failed executions of tools 0 " not in panels
    failed = boss.get(page.href("failed executions of tools")).context["cl"].result_list
    assert f"failed executions of tools {len(failed)} " in panels
    assert {"Models", "Providers", "Keys", "Aliases", "Origins"} <= {
        name.split(" by ")[0] for name in page.tables
    }


def test_e1_nobody_is_asked_to_set_its_prices(demo, boss):
    shown = logs_of(boss, project_id__exact=demo.id).text
    assert "calls have no price" in shown and "Set a price:" not in shown


def test_e1_the_servers_are_never_contacted(demo):
    from mcp import server_calls
    from mcp.background_refresh import refresh_due

    assert not refresh_due(datetime.now(UTC) + timedelta(days=400))
    for server in Server.objects.filter(project_id=demo.id):
        with pytest.raises(server_calls.NotCallable):
            server_calls.check_callable(server)
    assert ToolExecution.objects.filter(project_id=demo.id).count() == 240


def test_e1_nobody_has_its_key(demo):
    [key] = ApiKey.objects.filter(project=demo)
    assert "unusable" in key.name
    assert key.hint not in run("--remove")


def test_e1_what_it_did_not_make_is_not_removed(demo, api, project):
    named = Project.objects.create(name="demo")
    for name in ("demo", str(project.id), project.name):
        with pytest.raises(CommandError, match="is not demo data"):
            run("--remove", "--project", name)
    with pytest.raises(CommandError, match="no project nobody"):
        run("--remove", "--project", "nobody")
    assert Project.objects.filter(id__in=[named.id, project.id, demo.id]).count() == 3


def test_e1_removal_takes_what_people_added_to_it(demo, api, project):
    """Also rows that the demo has not: whatever names the project goes with it."""
    from tests.client import ApiClient

    before_demo = counts()
    client = ApiClient.of(demo)
    client.send("POST", "/api/v1/prices", {"provider": "acme", "model": "*", "factor": "2"})
    client.send(
        "POST",
        "/api/v1/conversations",
        {"title": "mine"},
        HTTP_IDEMPOTENCY_KEY="once",
    )
    assert counts() != before_demo
    run("--remove")
    with connection.cursor() as cursor:
        for model in apps.get_models():
            columns = {field.attname for field in model._meta.concrete_fields}
            if "project_id" in columns and model._meta.label not in KEPT:
                table = model._meta.db_table
                cursor.execute(f"SELECT count(*) FROM {table} WHERE project_id = %s", [demo.id])
                assert cursor.fetchone() == (0,), table
    assert Project.objects.filter(id=project.id).exists()


def test_e1_signing_key_of_the_operator_stays(demo):
    ReceiptKey.objects.create(key_id="ours", public_key=b"0" * 32)
    run("--remove")
    assert list(ReceiptKey.objects.values_list("key_id", flat=True)) == ["ours"]


def test_e1_button(boss, django_user_model):
    page = dashboard(boss)
    assert "Make demo data" in page.text
    for _ in range(2):
        response = boss.post(reverse("make-demo"))
    demo = Project.objects.demo().get()
    assert response["Location"] == f"/admin/?project={demo.id}"
    assert "Make demo data" not in dashboard(boss).text
    assert boss.get(reverse("make-demo")).status_code == 405
    boss.post(reverse("remove-demo"))
    assert not Project.objects.demo().exists()
    assert list(LogEntry.objects.order_by("id").values_list("user__username", "object_repr")) == [
        ("boss", demo.name),
        ("boss", demo.name),
    ]


def test_e1_no_button_where_there_is_real_data(a1, boss):
    assert "Make demo data" not in dashboard(boss).text
    empty = Project.objects.create(name="empty")
    page = dashboard(boss, empty)
    assert "empty has no calls yet" in page.text and "Make demo data" not in page.text


def logs_of(boss, **query):
    return boss.get(reverse("admin:usage_usagelog_changelist"), query)


def test_e1_the_list_of_all_logs_leaves_it_out_and_says_so(a1, demo, boss):
    """With many projects, too, whose ids have no room in an address."""
    Project.objects.bulk_create(Project(name=f"project {n}") for n in range(41))
    total = dashboard(boss).href("total")
    for page in (logs_of(boss), boss.get(total)):
        assert len(page.context["cl"].result_list) == page.context["cl"].totals.entries == 8
        assert "Demo data is left out" in page.text
    exported = boss.get(reverse("admin:usage_usagelog_export", args=["ndjson"]))
    assert len(b"".join(exported.streaming_content).splitlines()) == 8


def test_e1_an_id_shows_its_logs(a1, demo, boss):
    count = UsageLog.objects.filter(project_id=demo.id).count()
    all_logs = logs_of(boss).context["cl"]
    listed = boss.get(reverse("admin:usage_usagelog_changelist") + all_logs.demo_address)
    assert listed.context["cl"].totals.entries == count and "is left out" not in listed.text
    log = UsageLog.objects.filter(project_id=demo.id).first()
    assert list(logs_of(boss, q=str(log.id)).context["cl"].result_list) == [log]
    found = logs_of(boss, q=log.model).context["cl"]
    assert demo.id not in {each.project_id for each in found.result_list}


def test_links_of_all_projects_leave_the_demo_out(a1, demo, boss):
    page = dashboard(boss)
    listed = boss.get(page.href("total")).context["cl"].result_list
    assert {log.project_id for log in listed}.isdisjoint({demo.id})
    assert len(listed) == 8
