"""The admin of the gateway (row 32): tokens shown once, keys never, reservations released."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Allowance, AuditEvent, Project, User
from core.ids import uuid7
from gateway import tokens
from gateway.models import CachedAnswer, Call, Token, Upstream, UpstreamKey, Worker
from gateway.tokens import digest
from tests.client import ApiClient

pytestmark = pytest.mark.django_db
KEY = "sk-proj-abcdefghijklmnopWXYZ"


@pytest.fixture
def boss(db_all):
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def browser(boss):
    client = ApiClient()
    client.force_login(boss)
    return client


@pytest.fixture
def token(project):
    return tokens.issue(project, expires_at=None, name="laptop", max_requests=5)[0]


def page(model: str, view: str, *arguments) -> str:
    return reverse(f"admin:gateway_{model}_{view}", args=arguments)


def form(project, **values) -> dict:
    names = ("name", "upstream", "max_requests", "requests_per_minute", "budget_usd")
    names += ("allowed_models", "allowed_endpoints", "allowed_origins")
    empty = dict.fromkeys((*names, "expires_at_0", "expires_at_1"), "")
    return {**empty, "project": project.id, **values}


def test_new_token_is_shown_once_with_a_line_to_paste(browser, boss, project):
    limits = {
        "name": "laptop",
        "max_requests": "5",
        "budget_usd": "2.5",
        "allowed_models": "gpt-4o*\n\n  o4-* ",
        "expires_at_0": "2030-01-01",
        "expires_at_1": "00:00:00",
    }

    reply = browser.post(
        page("token", "add"), form(project, **limits), headers={"Accept-Encoding": "gzip"}
    )

    assert "Content-Encoding" not in reply
    shown = unescape(reply.content.decode())
    text = re.search(r"sk-[A-Za-z0-9_-]{22}", shown)[0]
    assert "no-store" in reply.headers["Cache-Control"] and reply.status_code == 200
    assert f"/v1/chat/completions -H 'Authorization: Bearer {text}'" in shown
    row = Token.objects.select_related("allowance").get()
    assert bytes(row.digest) == digest(text) and row.name == "laptop"
    assert row.allowed_models == ["gpt-4o*", "o4-*"] and row.allowed_endpoints is None
    assert row.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert (row.allowance.max_requests, row.allowance.budget_usd) == (5, Decimal("2.5"))
    for later in (page("token", "changelist"), page("token", "change", row.id)):
        html = browser.get(later).content.decode()
        assert text not in html and row.hint in html
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.token_id) == (
        "token.create",
        f"user:{boss.id}",
        row.id,
    )


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"allowed_endpoints": "v1/chat"}, "should be a path such as /v1/chat/*"),
        ({"allowed_models": "two words"}, "should be a pattern without blanks such as gpt-4o*"),
        ({"allowed_origins": "foo"}, "should be an origin such as https://app.example.com"),
        ({"budget_usd": "0"}, "greater than 0"),
        ({"max_requests": "-1"}, "greater than or equal to 0"),
        ({"upstream": "typo"}, "There is no upstream 'typo'; there are groq, openai"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"}, "The time is past"),
    ],
)
def test_bad_limits_are_refused_in_the_form(browser, project, values, fault):
    Upstream.objects.create(name="groq", base_url="https://api.groq.com/openai/v1")
    reply = browser.post(page("token", "add"), form(project, **values))
    assert reply.status_code == 200 and fault in unescape(reply.content.decode())
    assert not Token.objects.exists() and not Allowance.objects.exists()


def test_limits_are_changed_and_counters_stay(browser, project, token):
    Allowance.objects.update(requests=3, spent_usd=Decimal("0.5"))
    change = page("token", "change", token.id)
    assert 'value="5"' in browser.get(change).content.decode()
    reply = browser.post(change, form(project, name="renamed", max_requests="9"))
    assert reply.status_code == 302
    row = Token.objects.select_related("allowance").get()
    assert (row.name, row.allowance.max_requests, row.allowance.requests) == ("renamed", 9, 3)
    assert row.allowance.spent_usd == Decimal("0.5")
    listed = browser.get(page("token", "changelist")).content.decode()
    assert "3 of 9" in listed and "0.500000" not in listed
    assert AuditEvent.objects.get().action == "token.update"


def test_tokens_are_listed_by_their_state(browser, project):
    now = datetime.now(UTC)
    for name, column in (("active", "none"), ("expired", "expires_at"), ("revoked", "revoked_at")):
        made, _ = tokens.issue(project, expires_at=None, name=f"of-{name}")
        if column != "none":
            Token.objects.filter(pk=made.pk).update(**{column: now})
    for state in ("active", "expired", "revoked"):
        html = browser.get(page("token", "changelist"), {"state": state}).content.decode()
        assert re.findall(r">of-(\w+)<", html) == [state]


def test_a_token_s_budget_and_last_use_are_as_people_write_them(browser, token):
    used = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
    Allowance.objects.update(budget_usd=Decimal("1.5"), last_used_at=used)
    html = browser.get(page("token", "change", token.id)).content.decode()
    assert 'value="1.5"' in html and "2026-01-02 03:04:05Z" in html
    assert "1.500000" not in html and "+00:00" not in html


def test_token_of_a_gone_upstream_in_the_past_can_still_be_renamed(browser, project, token):
    gone = {"upstream": "gone", "expires_at": datetime(2020, 1, 1, tzinfo=UTC)}
    Token.objects.update(**gone)
    same = {"upstream": "gone", "expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"}
    change = page("token", "change", token.id)
    assert browser.post(change, form(project, name="renamed", **same)).status_code == 302
    assert Token.objects.values("name", *gone).get() == {"name": "renamed", **gone}


def test_tokens_are_revoked_after_a_question(browser, token):
    chosen = {"action": "revoke", "_selected_action": [str(token.id)]}
    asked = browser.post(page("token", "changelist"), chosen)
    assert asked.status_code == 200 and "refused everywhere" in asked.content.decode()
    assert Token.objects.get().revoked_at is None

    browser.post(page("token", "changelist"), {**chosen, "confirmed": "yes"})

    assert Token.objects.get().revoked_at is not None
    assert AuditEvent.objects.get().action == "token.revoke"
    assert browser.get(page("token", "delete", token.id)).status_code == 403


def test_row_32_post_without_csrf_token_is_refused(boss, token):
    client = Client(enforce_csrf_checks=True)
    client.force_login(boss)
    chosen = {"action": "revoke", "_selected_action": [str(token.id)], "confirmed": "yes"}
    assert client.post(page("token", "changelist"), chosen).status_code == 403
    assert Token.objects.get().revoked_at is None


def test_upstream_takes_its_key_and_never_shows_it(browser):
    fields = {"name": "groq", "base_url": "https://api.groq.com/openai/v1", "options": "{}"}
    fields |= {"is_enabled": "on", "new_api_key": KEY}
    assert browser.post(page("upstream", "add"), fields).status_code == 302
    row = Upstream.objects.get()
    assert row.api_key.open() == KEY
    change = page("upstream", "change", row.id)
    for shown in (change, page("upstream", "changelist")):
        assert KEY not in browser.get(shown).content.decode()
    browser.post(change, {**fields, "new_api_key": "", "base_url": "https://api.groq.com/v2"})
    row.refresh_from_db()
    assert row.api_key.open() == KEY and row.base_url == "https://api.groq.com/v2"
    browser.post(change, {**fields, "new_api_key": "", "remove_api_key": "on"})
    row.refresh_from_db()
    assert row.api_key is None
    browser.post(page("upstream", "delete", row.id), {"post": "yes"})
    assert not Upstream.objects.exists()
    actions = [event.action for event in AuditEvent.objects.order_by("id")]
    assert actions == ["upstream.create", "upstream.update", "upstream.update", "upstream.delete"]
    assert KEY not in str(AuditEvent.objects.values())


@pytest.mark.parametrize("base_url", ["https://evil.example/v1", "http://api.groq.com/openai/v1"])
def test_stored_key_of_an_upstream_follows_it_to_no_other_host(browser, base_url):
    """Who may change an upstream must not read its key by naming another host."""
    fields = {"name": "groq", "base_url": "https://api.groq.com/openai/v1", "is_enabled": "on"}
    browser.post(page("upstream", "add"), {**fields, "new_api_key": KEY})
    row = Upstream.objects.get()
    change, moved = page("upstream", "change", row.id), {**fields, "base_url": base_url}
    for address in (base_url, "http://[", "http://api.groq.com:x/"):
        refused = browser.post(change, {**moved, "base_url": address})
        assert "enter it again" in refused.content.decode()
    row.refresh_from_db()
    assert row.base_url == fields["base_url"] and row.api_key.open() == KEY
    assert browser.post(change, {**moved, "new_api_key": "sk-another-key-of-it"}).status_code == 302
    row.refresh_from_db()
    assert row.base_url == base_url and row.api_key.open() == "sk-another-key-of-it"
    assert browser.post(change, {**fields, "remove_api_key": "on"}).status_code == 302
    row.refresh_from_db()
    assert row.base_url == fields["base_url"] and row.api_key is None
    assert browser.post(change, moved).status_code == 302


def test_keys_of_projects_follow_an_upstream_to_no_other_host(browser, project):
    """Whether it is changed, added under the name of one that is configured, or renamed."""
    host = "https://api.groq.com/openai/v1"
    groq = Upstream.objects.create(name="groq", base_url=host)
    other = Upstream.objects.create(name="other", base_url="https://evil.example/v1")
    for name in ("groq", "openai", "gone"):
        sealed = UpstreamKey.columns_of(KEY)
        UpstreamKey.objects.create(project=project, upstream=name, **sealed)
    evil = {"base_url": "https://evil.example/v1", "is_enabled": "on"}
    for address, name in [
        (page("upstream", "change", groq.id), "groq"),
        (page("upstream", "change", other.id), "openai"),
        (page("upstream", "add"), "openai"),
        (page("upstream", "add"), "gone"),
    ]:
        refused = browser.post(address, {**evil, "name": name})
        assert "keys of their own" in unescape(refused.content.decode())
    assert [*Upstream.objects.order_by("name").values_list("name", "base_url")] == [
        ("groq", host),
        ("other", "https://evil.example/v1"),
    ]
    near = {**evil, "name": "groq", "base_url": "https://api.groq.com/v2"}
    assert browser.post(page("upstream", "change", groq.id), near).status_code == 302
    UpstreamKey.objects.filter(upstream="groq").delete()
    moved = {**evil, "name": "groq"}
    assert browser.post(page("upstream", "change", groq.id), moved).status_code == 302
    added = {**evil, "name": "openai", "base_url": "https://api.openai.com/v2"}
    assert browser.post(page("upstream", "add"), added).status_code == 302


def test_stored_key_of_a_project_stays_with_it_and_its_upstream(browser, project):
    fields = {"project": project.id, "upstream": "openai"}
    browser.post(page("upstreamkey", "add"), {**fields, "new_api_key": KEY})
    row, other = UpstreamKey.objects.get(), Project.objects.create(name="other")
    change = page("upstreamkey", "change", row.id)
    for moved in ({**fields, "upstream": "mine"}, {**fields, "project": other.id}):
        assert "enter it again" in browser.post(change, moved).content.decode()
        row.refresh_from_db()
        assert (row.project_id, row.upstream) == (project.id, "openai")
    assert browser.post(change, fields).status_code == 302
    moved = {"project": other.id, "upstream": "mine", "new_api_key": "sk-another-key-of-it"}
    assert browser.post(change, moved).status_code == 302
    row.refresh_from_db()
    assert (row.upstream, row.api_key.open()) == ("mine", "sk-another-key-of-it")


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"base_url": "foo"}, "should be an address such as https://api.example.com/v1"),
        ({"options": '{"retry": 2}'}, "retry: Extra inputs are not permitted"),
        ({"options": '{"base_url": "https://x"}'}, "base_url: Extra inputs are not permitted"),
        ({"options": '{"timeouts": {"idle": "soon"}}'}, "timeouts: idle: should be a duration"),
        ({"options": "[1]"}, "should be a valid dictionary"),
        ({"options": "[" * 20_000}, "Enter a valid JSON."),
        ({"options": '{"a": NaN}'}, "Enter a valid JSON."),
    ],
)
def test_unusable_upstream_is_refused_in_the_form(browser, members, fault):
    fields = {"name": "groq", "base_url": "https://api.groq.com/openai/v1", "options": ""}
    add = page("upstream", "add")
    assert fault in unescape(browser.post(add, {**fields, **members}).content.decode())
    assert not Upstream.objects.exists()
    assert browser.post(add, fields).status_code == 302
    assert Upstream.objects.get().options == {}


def test_key_of_a_project_is_sealed_and_masked(browser, project):
    fields = {"project": project.id, "upstream": "openai"}
    add = page("upstreamkey", "add")
    for bad in ("", "sk-proj-...WXYZ"):
        assert browser.post(add, {**fields, "new_api_key": bad}).status_code == 200
    assert browser.post(add, {**fields, "new_api_key": KEY}).status_code == 302
    row = UpstreamKey.objects.get()
    assert (row.api_key.open(), row.hint) == (KEY, "sk-proj-...WXYZ")
    shown = browser.get(page("upstreamkey", "change", row.id)).content.decode()
    assert KEY not in shown and row.hint in shown


@pytest.fixture
def call(token):
    Allowance.objects.update(reserved_usd=Decimal("0.75"), requests=1)

    def make(state: str, reserved: str) -> Call:
        return Call.objects.create(
            id=uuid7(),
            project_id=token.project_id,
            token_id=token.id,
            allowance_id=token.allowance_id,
            worker_id=uuid7(),
            state=state,
            started_at=datetime.now(UTC),
            reserved_usd=Decimal(reserved),
            upstream="openai",
            row={"model": "gpt-4o"},
        )

    return make


def test_reservation_of_an_unknown_call_is_released_once(browser, call):
    unknown, pending = call("unknown", "0.5"), call("pending", "0.25")
    chosen = {"action": "release", "_selected_action": [str(unknown.id), str(pending.id)]}
    listed = page("call", "changelist")
    asked = browser.post(listed, chosen).content.decode()
    assert "cost nothing" in asked and str(unknown.id) in asked and str(pending.id) not in asked
    assert Call.objects.count() == 2
    html = browser.get(listed, {"o": "-4"}).content.decode()
    assert re.findall(r'class="field-reserved [^>]*>([^<]*)<', html) == ["0.5", "0.25"]

    for answer in ("1 reservation released", "applies to none of the selected"):
        reply = browser.post(listed, {**chosen, "confirmed": "yes"}, follow=True)
        assert answer in reply.content.decode()

    assert [row.id for row in Call.objects.all()] == [pending.id]
    allowance = Allowance.objects.get()
    assert (allowance.reserved_usd, allowance.spent_usd) == (Decimal("0.25"), 0)
    event = AuditEvent.objects.get()
    assert (event.action, event.details["reserved_usd"]) == ("call.release", "0.500000000000")


def test_calls_are_found_by_every_id_of_theirs(browser, call, project):
    found, other = call("pending", "0.5"), call("pending", "0.25")
    assert f">{project.name}</a>" in browser.get(page("call", "changelist")).content.decode()
    Call.objects.filter(id=other.id).update(project_id=uuid7(), token_id=uuid7())
    for name in ("id", "project_id", "token_id", "worker_id"):
        search = {"q": str(getattr(found, name))}
        html = browser.get(page("call", "changelist"), search).content.decode()
        assert f"/{found.id}/change/" in html and f"/{other.id}/change/" not in html, name


def test_who_may_look_at_calls_releases_none(call):
    unknown = call("unknown", "0.5")
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = ApiClient()
    client.force_login(reader)
    chosen = {"action": "release", "_selected_action": [str(unknown.id)], "confirmed": "yes"}
    client.post(page("call", "changelist"), chosen)
    assert Call.objects.get().state == "unknown"


def test_an_empty_list_of_workers_says_when_it_has_any(browser):
    workers = page("worker", "changelist")
    listed = browser.get(workers)
    assert "There are no workers at the moment. A worker is listed" in listed.text
    assert "create" not in listed.text.lower() and "Reset filters" not in listed.text
    assert "Nothing matches these filters" in browser.get(f"{workers}?q=x").text


def test_workers_show_their_breakers(browser):
    upstreams = {
        "openai": {"breaker": "closed", "in_flight": 3},
        "groq": {"breaker": "open", "open_until": "2026-11-26T00:00:00Z", "in_flight": 1},
    }
    now = datetime.now(UTC)
    Worker.objects.create(id=uuid7(), host="a", process_id=7, status={"upstreams": upstreams})
    gone = {"seen_at": now - timedelta(hours=1), "status": {}}
    Worker.objects.create(id=uuid7(), host="b", process_id=8, **gone)
    listed = browser.get(page("worker", "changelist")).content.decode()
    assert "groq: open" in listed and "openai: closed" not in listed
    one = browser.get(page("worker", "change", Worker.objects.get(host="a").id))
    assert "open_until" in one.content.decode()


@pytest.fixture
def kept(project):
    """A cached answer, at an address longer than an index of its text would take."""
    now = datetime.now(UTC)
    return CachedAnswer.objects.create(
        project_id=project.id,
        upstream="openai",
        method="POST",
        url="/v1/embeddings?" + "x" * 5_000,
        digest=b"d",
        varies_by=["accept"],
        variant=b"v",
        status=200,
        headers=[["Content-Type", "application/json"]],
        body=b"an answer",
        size=9,
        age=0,
        stored_at=now,
        expires_at=now + timedelta(hours=1),
    )


def test_kept_answers_are_found_and_removed(browser, project, kept):
    shown = browser.get(page("cachedanswer", "changelist"), {"q": kept.url}).text
    assert "/v1/embeddings" in shown and f"/project/{project.id}/change/" in shown
    shown = browser.get(page("cachedanswer", "change", kept.id)).text
    assert "application/json" in unescape(shown) and "an answer" not in shown
    chosen = {"action": "purge", "_selected_action": [str(kept.id)]}
    assert "calls again" in browser.post(page("cachedanswer", "changelist"), chosen).text
    assert CachedAnswer.objects.exists()
    browser.post(page("cachedanswer", "changelist"), {**chosen, "confirmed": "yes"})
    assert not CachedAnswer.objects.exists()
    assert AuditEvent.objects.get(action="cache.purge").project_id == project.id


def test_who_may_look_at_kept_answers_removes_none(kept):
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_cachedanswer"))
    client = ApiClient()
    client.force_login(reader)
    chosen = {"action": "purge", "_selected_action": [str(kept.id)], "confirmed": "yes"}
    assert client.post(page("cachedanswer", "changelist"), chosen).status_code == 403
    assert CachedAnswer.objects.exists()


def test_archived_project_gets_no_token(browser, project):
    Project.objects.filter(pk=project.pk).update(archived_at=datetime.now(UTC))
    reply = browser.post(page("token", "add"), form(project, name="laptop"))
    assert "The project is archived" in reply.content.decode()
    assert not Token.objects.exists()


def test_form_sent_twice_makes_one_token(browser, project):
    add = page("token", "add")
    form_id = re.search(r'name="form_id" value="([^"]+)"', browser.get(add).content.decode())[1]
    sent = form(project, name="laptop", form_id=form_id)
    first = browser.post(add, sent).content.decode()
    text = re.search(r"sk-[A-Za-z0-9_-]{22}", first)[0]
    again = browser.post(add, sent, follow=True).content.decode()
    assert "made its token already" in again and text not in again
    assert Token.objects.count() == Allowance.objects.count() == 1
    assert AuditEvent.objects.filter(action="token.create").count() == 1
