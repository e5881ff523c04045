"""The dashboard's figures. Names such as A1 are those of the cases they answer."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Project, User
from registry_proxy.models import CustomPrice
from tests.client import ApiClient
from tests.days import today
from tests.html_page import Page
from usage.models import UsageLog

HOME = "/admin/"


@pytest.fixture
def boss(db_all):
    return person(User.objects.create_superuser("boss", password="a long password"))


def person(user: User) -> ApiClient:
    client = ApiClient()
    request = RequestFactory().get("/admin/login/")
    assert client.login(username=user.username, password="a long password", request=request)
    return client


def day(n: int) -> str:
    return (today() + timedelta(days=n)).isoformat()


def call(at: str, model: str = "m1", **members) -> dict:
    entry = {"provider": "acme", "model": model, "input_tokens": 10, "output_tokens": 5}
    return {**entry, "timestamp": at, **members}


def send(api: ApiClient, *calls: dict) -> None:
    assert api.send("POST", "/api/v1/log/batch", {"logs": calls})["created"] == len(calls)


def dashboard(client: ApiClient, project: Project | None = None, **query: str) -> Page:
    parameters = {"project": str(project.id)} if project else {}
    response = client.get(HOME, {**parameters, **query})
    assert response.status_code == 200
    return Page(response.content.decode())


def tile(page: Page, title: str) -> str:
    """The text of a tile, up to the next one."""
    titles = ["Today, not finished", "7 days, today included", "30 days, today included"]
    parts = re.split("|".join(titles + ["Cost per day"]), page.text)
    return parts[1 + titles.index(title)]


def amount(text: str) -> Decimal:
    """The exact cost that a cell states."""
    return Decimal(re.match(r"-?[\d,.]+", text)[0].replace(",", ""))


@pytest.fixture
def a1(api, other_api):
    send(
        api,
        call(f"{day(-13)}T12:00:00Z", "m1", cost="0.40"),
        call(f"{day(-6)}T00:00:00Z", "m1", cost="0.10"),
        call(f"{day(-3)}T23:59:59.999Z", "m1", cost="0.20"),
        call(f"{day(-1)}T12:00:00Z", "m2", cost="0.30"),
        call(f"{day(0)}T00:00:00Z", "m2", cost="1.25"),
        call(f"{day(0)}T00:00:00Z", "m3", cost="0.000000000001"),
        call(f"{day(0)}T00:00:00Z", "no-such-model-1"),
    )
    send(other_api, call(f"{day(0)}T00:00:00Z", "m9", cost="1000000000000.5"))


def test_a1_one_total_in_tiles_charts_tops_and_stats(a1, boss, api, project):
    page = dashboard(boss, project)
    today, week, month = (
        tile(page, title)
        for title in ("Today, not finished", "7 days, today included", "30 days, today included")
    )
    assert "1.250000000001" in today and "3 calls" in today
    assert "1 of 3 calls have no price" in today
    assert "the whole of yesterday: cost 0.3, 1 call" in today
    assert "1.850000000001" in week and "6 calls" in week and "1 of 6 calls" in week
    assert "cost +362.5 %" in week and "calls +500 %" in week
    assert "the 7 days before: cost 0.4, 1 call" in week
    assert "2.250000000001" in month and "7 calls" in month
    assert "the 30 days before: cost 0, 0 calls" in month

    total = Decimal("2.250000000001")
    costs = page.table("Cost per day")
    days = [row for row in costs if re.match(r"\d{4}-", row[0])]
    assert sum(amount(cell) for row in days for cell in row[1:-1] if cell != "unknown") == total
    assert sum(amount(row[-1]) for row in days) == total
    for name in ("Models", "Providers", "Keys", "Aliases", "Origins"):
        rows = page.table(name)[1:]
        assert amount(rows[-1][1]) == total, name
        shown = sum(amount(row[1]) for row in rows[:-1] if row[1] != "unknown")
        assert (shown, sum(int(row[2]) for row in rows[:-1])) == (total, 7), name
    stats = api.read("/api/v1/stats", {"start_date": day(-29)})
    assert Decimal(stats["summary"]["total_cost"]) == total

    assert page.row("Models", "m3")[1] == "0.000000000001"
    assert page.row("Models", "no-such-model-1")[1] == "unknown"


def test_a1_the_bar_opens_the_logs_it_sums(a1, boss, project):
    page = dashboard(boss, project)
    name = f"m2, {day(0)} (not finished): cost 1.25, 1 call"
    listed = boss.get(page.href(name)).context["cl"].result_list
    assert [(log.model, log.cost) for log in listed] == [("m2", Decimal("1.25"))]


def test_a1_all_projects_keep_every_digit(a1, boss):
    page = dashboard(boss)
    assert "1,000,000,000,002.350000000001" in tile(page, "7 days, today included")
    rows = page.table("Projects")[1:-1]
    assert {row[0]: amount(row[1]) for row in rows} == {
        "ours": Decimal("2.250000000001"),
        "theirs": Decimal("1000000000000.5"),
    }


def test_a2_every_day_is_on_the_axis(boss, api, project):
    send(
        api,
        call(f"{day(-29)}T12:00:00Z", cost="0.50"),
        call(f"{day(-10)}T12:00:00Z", "no-such-model-1"),
        call(f"{day(0)}T00:00:00Z", cost="0.20"),
    )
    page = dashboard(boss, project)
    costs, calls = (
        {row[0]: row[-1] for row in page.table(name)[1:-1]} for name in ("Cost per", "Calls per")
    )
    days = [day(n) for n in range(-29, 0)] + [f"{day(0)} (not finished)"]
    assert list(costs) == list(calls) == days
    assert "UTC" in page.text
    expected = dict.fromkeys(days, "0") | {day(-29): "0.5", day(-10): "unknown", days[-1]: "0.2"}
    assert costs == expected
    with_calls = {days[0], day(-10), days[-1]}
    assert calls == {name: "1" if name in with_calls else "0" for name in days}

    page = dashboard(boss, project, start=day(-20), end=day(-1))
    rows = page.table("Cost per")[1:-1]
    assert [row[0] for row in rows] == [day(n) for n in range(-20, 0)]


@pytest.mark.parametrize(
    ("now", "before", "said", "unsaid"),
    [
        pytest.param(5, 0, ["cost new", "calls new"], ["%", "Infinity", "NaN"], id="from nothing"),
        pytest.param(0, 5, ["cost −100 %", "calls −100 %"], ["new"], id="to nothing"),
        pytest.param(3, 3, ["cost 0 %", "calls 0 %"], ["new", "not available"], id="none"),
    ],
)
def test_a3_change(boss, api, project, now, before, said, unsaid):
    entries = [call(f"{day(-1)}T12:00:00Z", cost="0.1")] * now
    entries += [call(f"{day(-8)}T12:00:00Z", cost="0.1")] * before
    send(api, *entries)
    text = tile(dashboard(boss, project), "7 days, today included")
    assert all(words in text for words in said), text
    assert not any(words in text for words in unsaid), text


def test_a3_nothing_at_all_teaches_the_first_steps(boss, project):
    page = dashboard(boss, project)
    assert "%" not in tile(page, "7 days, today included").split("Days are UTC")[0]
    assert "ours has no calls yet" in page.text
    assert "curl -s" in page.text and "/api/v1/log" in page.text
    assert "LLMRING_RECEIPTS_PRIVATE_KEY_B64" in page.text and "/api/v1/mcp/servers" in page.text


@pytest.mark.parametrize("key", ["", "sk-upstream-key-0123456789"])
def test_a3_the_first_steps_lead_to_the_gateway(boss, project, settings, key):
    settings.OPENAI_API_KEY = key
    page = dashboard(boss, project)
    assert "OPENAI_BASE_URL=" in page.text and "/v1" in page.text
    assert ("start the server with OPENAI_API_KEY" in page.text) is not bool(key)
    assert page.href("make a token") == reverse("admin:gateway_token_add")


def test_a3_an_unknown_cost_before_is_not_compared(boss, api, project):
    send(
        api,
        call(f"{day(-1)}T12:00:00Z", cost="0.1"),
        call(f"{day(-1)}T12:00:00Z", cost="0.1"),
        call(f"{day(-8)}T12:00:00Z", "no-such-model-1"),
    )
    text = tile(dashboard(boss, project), "7 days, today included")
    assert "cost no comparison: a cost is unknown" in text
    assert "calls +100 %" in text
    assert "the 7 days before: cost unknown, 1 call" in text


def test_a4_percentiles_are_of_calls(boss, api, project):
    send(
        api,
        *[call(f"{day(-1)}T12:00:00Z", cost="0.1", latency_ms=100)] * 19,
        call(f"{day(0)}T00:00:00Z", "m2", cost="0.1", latency_ms=10000),
        *[call(f"{day(0)}T00:00:00Z", "m2", cost="0.1")] * 20,
    )
    page = dashboard(boss, project)
    assert "(p50) 100 ms" in page.text and "(p95) 100 ms" in page.text
    assert "20 of 40 calls were measured" in page.text


def test_a4_without_any_latency_there_is_a_dash(boss, api, project):
    send(api, call(f"{day(0)}T00:00:00Z", cost="0.1"))
    page = dashboard(boss, project)
    assert "(p50) –" in page.text and "(p95) –" in page.text
    assert "0 ms" not in page.text
    assert "None of 1 calls states its latency" in page.text


def test_a4_many_calls_are_read_after_the_page(boss, api, project, monkeypatch):
    from llmring_site.dashboard import panels

    monkeypatch.setattr(panels, "MAX_CALLS_AT_ONCE", 0)
    send(api, call(f"{day(0)}T00:00:00Z", cost="0.1", latency_ms=70))
    page = dashboard(boss, project)
    assert "ms" not in page.text.split("Latency and errors")[1].split("MCP")[0]
    address = page.href("Count them now")
    fragment = boss.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment and "70 ms" in Page(fragment).text
    whole = boss.get(address).content.decode()
    assert "<html" in whole and "70 ms" in Page(whole).text


def test_a5_free_is_zero_and_unpriced_is_unknown(boss, api, project):
    send(
        api,
        *[call(f"{day(0)}T00:00:00Z", "free-local", cost="0")] * 3,
        *[call(f"{day(0)}T00:00:00Z", "no-such-model-1")] * 2,
        call(f"{day(0)}T00:00:00Z", "gpt-4o-mini", provider="openai", cost="0.0000045"),
    )
    page = dashboard(boss, project)
    shown = tile(page, "Today, not finished")
    assert "0.0000045" in shown and "2 of 6 calls have no price" in shown
    assert page.row("Models", "free-local")[1:] == ["0", "3"]
    assert page.row("Models", "no-such-model-1")[1:] == ["unknown", "2"]
    panel = page.text.split("Calls without a price")[1].split("MCP")[0]
    assert "acme:no-such-model-1 unpriced: 2 calls, 30 tokens" in panel
    assert "free-local" not in panel
    form = boss.get(page.href("Set a price for no-such-model-1"))
    initial = form.context["form"].initial
    assert (initial["provider"], initial["model"]) == ("acme", "no-such-model-1")
    assert initial["valid_from"] == day(0) and initial["project"] is None
    assert not CustomPrice.objects.exists()
    listed = boss.get(page.href("acme:no-such-model-1")).context["cl"].result_list
    assert [log.cost for log in listed] == [None, None]


def test_a5_what_a_price_would_change_is_shown_before_it_is_written(boss, api, project):
    send(api, *[call(f"{day(-3)}T00:00:00Z", "no-such-model-1")] * 2)
    address = dashboard(boss, project).href("Set a price for no-such-model-1")
    initial = boss.get(address).context["form"].initial
    form = {name: initial[name] for name in ("provider", "model", "valid_from")}
    form |= {"input": "2", "output": "4", "reprice": "on"}
    text = Page(boss.post(address, {**form, "preview": "1"}).content.decode()).text
    # 10 tokens at 2 and 5 at 4 dollars per million, twice.
    assert "2 calls without a price would cost 0.00008 USD together" in text
    assert UsageLog.objects.count() == 2 and not CustomPrice.objects.exists()

    assert boss.post(address, {**form, "save": "1"}).status_code == 302
    assert UsageLog.objects.count() == 6  # a reversal and a replacement of each
    page = dashboard(boss, project)
    assert page.row("Models", "no-such-model-1")[1:] == ["0.00008", "2"]
    assert "Every call has a price" in page.text


def test_a5_setting_prices_needs_its_permission_and_that_to_see_logs(api, project):
    send(api, call(f"{day(-3)}T00:00:00Z", "no-such-model-1"))
    address = reverse("admin:usage_usagelog_price")
    for name in ("view_usagelog", "add_customprice"):
        user = User.objects.create_user(name, password="a long password", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename=name))
        clerk = person(user)
        assert "Set a price" not in Page(clerk.get(HOME).content.decode()).text
        assert clerk.get(address, {"provider": "acme"}).status_code == 403


def test_a5_prices_of_all_projects_leave_demo_data_out(boss, api, project):
    send(api, call(f"{day(-3)}T00:00:00Z", "no-such-model-1"))
    Project.objects.filter(id=project.id).update(is_demo=True)
    query = {"provider": "acme", "model": "no-such-model-1"}
    form = {**query, "valid_from": day(-3), "input": "2", "output": "4", "preview": "1"}
    page = reverse("admin:usage_usagelog_price")
    demo = dashboard(boss, project).href("Set a price for no-such-model-1")
    assert boss.get(demo).context["form"].initial["project"] == project
    for chosen, count in (("", "0"), (str(project.id), "1")):
        text = Page(boss.post(page, {**form, "project": chosen}).content.decode()).text
        assert f"{count} calls without a price would cost" in text


def test_figures_that_take_too_long_are_given_up_and_said_so(boss, api, monkeypatch):
    """The rest of the page is there."""
    from core.database.raw_connection import pooled_cursor
    from llmring_site.dashboard import page, panels

    def slow(*arguments):
        with pooled_cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 1")
            cursor.execute("SELECT pg_sleep(1)")

    send(api, call(f"{day(0)}T00:00:00Z", cost="1"))
    monkeypatch.setattr(panels, "call_figures", slow)
    assert "Given up after 5 seconds" in dashboard(boss).text
    monkeypatch.setattr(page, "overview", slow)
    text = dashboard(boss).text
    assert "took longer than 5 seconds" in text and "Background jobs" in text
    assert "Make demo data" not in text


@pytest.mark.parametrize("page", ["1", "x", "0", "-1", "9" * 30, "\x00"])
def test_search_takes_odd_pages(boss, page):
    response = boss.get("/admin/search/", {"s": "log", "page": page})
    assert response.status_code == 200 and b"usagelog" in response.content


@pytest.mark.parametrize("value", ["x", "2026-13-45", "\x00", "2026-11-01", "9" * 30])
def test_forms_take_odd_values_from_the_address(boss, value):
    form = reverse("admin:registry_proxy_customprice_add")
    for name in ("valid_from", "project_id", "factor", "prices", "nonsense"):
        assert boss.get(form, {name: value}).status_code == 200, name
    assert boss.get(reverse("admin:accounts_apikey_add"), {"project": value}).status_code == 200


def test_a6_a_correction_lowers_the_sum_and_is_no_call(boss, api, project):
    wrong = api.send("POST", "/api/v1/log", call(f"{day(-2)}T12:00:00Z", "m1", cost="0.90"))
    right = {"reason": "typo", "model": "m1b", "cost": "0.09"}
    api.send("POST", f"/api/v1/logs/{wrong['log_id']}/correct", right)
    page = dashboard(boss, project)
    row = page.row("Cost per", day(-2))
    assert row[-1] == "0.09" and page.row("Calls per", day(-2))[-1] == "1"
    assert page.row("Models", "m1")[1:] == ["0", "0"]
    assert page.row("Models", "m1b")[1:] == ["0.09", "1"]
    assert page.row("Cost per", f"{day(0)} (not finished)")[-1] == "0"


def test_a6_a_bar_below_zero_is_drawn():
    from core.charts import Cell, Column, StackedChart

    cells = [Cell(Decimal("-0.90"), "-0.9"), Cell(Decimal("0.60"), "0.6")]
    chart = StackedChart(
        "cost",
        series=["a", "b"],
        columns=[Column("day", cells, "-0.3")],
        totals=["-0.9", "0.6", "-0.3"],
        format_tick=str,
    )
    [(_, bars, _)] = chart.drawn
    # From -1 to 1 in steps of 0.5: zero is in the middle, 0.9 is 45 % of the height.
    assert chart.zero == "50.000%"
    assert [(bar.bottom, bar.height) for bar in bars] == [
        ("5.000%", "45.000%"),
        ("50.000%", "30.000%"),
    ]


def test_a7_charts_have_names_tables_and_links(a1, boss, project):
    response = boss.get(HOME, {"project": str(project.id)})
    html, page = response.content.decode(), Page(response.content.decode())
    assert html.count("<figure") == html.count("<figcaption") == 2
    assert "<canvas" not in html
    header = page.table("Cost per day")[0]
    assert header == ["day (UTC)", "m2", "m1", "m3", "no-such-model-1", "total"]
    named = [name for name, _ in page.links if re.search(r"\d{4}-\d\d-\d\d.*: cost .*call", name)]
    # Six bars of cost (the unpriced call has none) and seven of calls.
    assert len(named) == 6 + 7


def test_odd_addresses_get_a_page_that_says_what_is_wrong(boss, project):
    for query, said in [
        ({"start": "yesterday"}, "A date is written as"),
        ({"start": "2026-02-30"}, "A date is written as"),
        ({"end": "9999-12-31"}, "A date is written as"),
        ({"start": "2020-01-01", "end": "2026-01-01"}, "At most 366 days"),
        ({"start": "2026-01-05", "end": "2026-01-01"}, "swapped"),
        ({"project": "nobody"}, "There is no such project"),
        ({"project": "\x00"}, "There is no such project"),
        ({"unknown": "\x00"}, "Days are UTC"),
    ]:
        response = boss.get(HOME, query)
        assert response.status_code == 200, query
        assert said in Page(response.content.decode()).text, query


def test_too_many_days_end_today_where_calls_end(boss, api):
    send(api, call(f"{day(0)}T00:00:00Z", cost="0.2"))
    year = [day(n) for n in range(-365, 0)] + [f"{day(0)} (not finished)"]
    page = dashboard(boss, start="2020-01-01", end="2199-12-31")
    assert f"At most 366 days are shown: {day(-365)} to {day(0)}." in page.text
    assert [row[0] for row in page.table("Cost per")[1:-1]] == year
    assert page.table("Cost per")[-2][-1] == "0.2"
    page = dashboard(boss, start="2020-01-01", end="2021-12-31")
    assert "2020-12-31 to 2021-12-31" in page.text


def test_b3_labels_stay_text(boss, api):
    odd = '"><svg onload=alert(1)></script><script>alert(1)</script>{{7*7}}'
    send(api, call(f"{day(0)}T00:00:00Z", odd, cost="1", alias=odd[:64], origin=odd))
    html = boss.get(HOME).content.decode()
    assert "<svg onload" not in html and "<script>alert" not in html
    assert "{{7*7}}" in html and "&lt;svg onload=alert(1)&gt;" in html


def test_b5_who_may_not_see_logs_sees_no_figures_of_them(a1):
    user = User.objects.create_user("clerk", password="a long password", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_project"))
    clerk = person(user)
    page = dashboard(clerk)
    assert "no permission to view logs" in page.text
    assert "1.25" not in page.text and "calls" not in page.text.lower()
    assert not page.tables
    assert clerk.get(reverse("dashboard-calls")).status_code == 403
    assert clerk.post(reverse("make-demo")).status_code == 403
    assert clerk.post(reverse("remove-demo")).status_code == 403
    assert not Project.objects.demo().exists()


def test_rest_and_none_make_the_tops_add_up(boss, api, project):
    """Twelve aliases and some calls without one: eight rows, the rest, none."""
    entries = [
        call(f"{day(0)}T00:00:00Z", cost=str(n), alias=f"alias-{n:02}") for n in range(1, 13)
    ]
    send(api, *entries, call(f"{day(0)}T00:00:00Z", cost="0.5"))
    page = dashboard(boss, project)
    rows = page.table("Aliases")[1:]
    assert [row[0] for row in rows] == [
        *(f"alias-{n:02}" for n in range(12, 4, -1)),
        "4 others",
        "no alias",
        "total",
    ]
    assert rows[-3][1:] == ["10", "4"] and rows[-2][1:] == ["0.5", "1"]
    assert rows[-1][1:] == ["78.5", "13"]
    for name, expected in (("4 others", {1, 2, 3, 4}), ("no alias", {Decimal("0.5")})):
        logs = boss.get(page.href(name)).context["cl"].result_list
        assert {log.cost for log in logs} == expected, name


def test_number_of_queries_does_not_grow_with_rows(
    boss, api, project, django_assert_max_num_queries
):
    def queries() -> int:
        with django_assert_max_num_queries(40) as captured:
            boss.get(HOME, {"project": str(project.id)})
        return len(captured)

    send(api, call(f"{day(0)}T00:00:00Z", cost="1"))
    before = queries()
    send(api, *[call(f"{day(-n)}T00:00:00Z", f"m{n}", cost="1") for n in range(25)])
    assert queries() == before
    assert UsageLog.objects.count() == 26


@pytest.mark.parametrize("path", [HOME, "/admin/usage/usagelog/?q=a-word"])
def test_many_projects_are_not_as_many_parameters(boss, project, other_project, path):
    """With ten thousand, psycopg read them for seconds."""
    with CaptureQueriesContext(connection) as seen:
        assert boss.get(path).status_code == 200
    statements = [
        query["sql"] for query in seen.captured_queries if str(project.id) in query["sql"]
    ]
    assert statements and not any('"project_id" IN (' in sql for sql in statements)
