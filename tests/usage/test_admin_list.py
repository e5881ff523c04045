"""The list of logs in the admin: filters, sums, order and files are of the same rows."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from accounts.models import User
from tests.days import today
from tests.staff import staff, superuser
from usage.admin import UsageLogAdmin
from usage.ledger import SHARE_SQL
from usage.models import UsageLog

LOGS = "/admin/usage/usagelog/"


def at(days_ago: int, time: str = "12:00:00") -> str:
    return f"{today() - timedelta(days=days_ago)}T{time}Z"


def call(model: str, cost: object = None, **members) -> dict:
    entry = {"provider": "p", "model": model, "input_tokens": 10, "output_tokens": 5, **members}
    return entry if cost is None else {**entry, "cost": cost}


def store(api, *logs: dict) -> list[str]:
    report = api.send("POST", "/api/v1/log/batch", {"logs": logs})
    assert report["created"] == len(logs), report
    return [result["log_id"] for result in report["results"]]


@pytest.fixture
def root(db_all):
    return superuser()


def html(browser, query: str = "", path: str = LOGS) -> str:
    response = browser.get(f"{path}{query}")
    assert response.status_code == 200, (query, response.status_code)
    return response.content.decode()


def rows(page: str) -> list[str]:
    """The ids of the listed logs, in order."""
    return re.findall(r'<th[^>]*><a href="/admin/usage/usagelog/([0-9a-f-]{36})/change/', page)


def cost(page: str) -> str:
    return re.search(r"data-total-cost>([^<]*)<", page)[1].replace(",", "")


def listed_everywhere(browser, query: str, pages: int) -> list[str]:
    found = []
    for number in range(1, pages + 1):
        found += rows(html(browser, f"{query}&p={number}"))
    return found


@pytest.fixture
def pages_of_ten(monkeypatch):
    """What is said of fifty rows a page takes as many templates to say of ten."""
    monkeypatch.setattr(UsageLogAdmin, "list_per_page", 10)


@pytest.fixture
def three_providers(api, pages_of_ten):
    return store(
        api,
        *(
            call("m", f"0.0{n % 9 + 1}", provider=provider, timestamp=at(1, f"12:00:{n:02d}"))
            for provider in ("openai", "anthropic", "mistral")
            for n in range(12)
        ),
    )


TWO = "?provider__exact=openai&provider__exact=anthropic"


def test_b1_two_values_of_a_filter_stay_on_every_page(root, three_providers):
    """Costs of twelve: 0.01 to 0.09 (0.45), then 0.01 to 0.03 (0.06): 0.51."""
    found = listed_everywhere(root, f"{TWO}&o=-5", 3)
    assert sorted(found) == sorted(three_providers[:24])
    for number in (1, 2, 3):
        assert cost(html(root, f"{TWO}&o=-5&p={number}")) == "1.02"


def test_b1_page_leads_back_to_the_list_it_was_opened_from(root, three_providers):
    page = html(root, f"{TWO}&o=-5&p=2")
    third = unescape(re.findall(r'<th[^>]*><a href="([^"]*/change/[^"]*)"', page)[2])
    detail = html(root, path=third)
    links = {
        unescape(link) for link in re.findall(r'href="(/admin/usage/usagelog/\?[^"]*)"', detail)
    }
    assert links  # the breadcrumb, and the button that closes the page
    for link in links:
        query = parse_qs(urlsplit(link).query)
        assert query["provider__exact"] == ["openai", "anthropic"], link
        assert (query["o"], query["p"]) == (["-5"], ["2"])
        assert rows(html(root, path=link)) == rows(page)
    assert len(re.findall(r'href="/admin/usage/usagelog/\?[^"]*"', detail)) >= 2


def test_b1_each_value_is_named_and_removed_alone(root, three_providers):
    page = html(root, f"{TWO}&o=-5&p=2")
    chips = re.findall(r'<a href="([^"]*)" aria-label="Remove the filter provider: (\w+)"', page)
    assert [name for _, name in chips] == ["openai", "anthropic"]
    query = parse_qs(urlsplit(unescape(chips[0][0])).query)
    assert query == {"provider__exact": ["anthropic"], "o": ["-5"]}  # from page 1 on


def test_b1_new_search_and_filter_begin_on_page_one(root, three_providers):
    page = html(root, f"{TWO}&created_at__gte=2026-01-01&o=-5&p=2&priced_as__isnull=True")
    search = re.search(r'<form id="changelist-search".*?</form>', page, re.DOTALL)[0]
    kept = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', search)
    assert ("provider__exact", "openai") in kept and ("provider__exact", "anthropic") in kept
    assert ("o", "-5") in kept and "p" not in dict(kept)
    form = re.search(r'<form id="filter-form".*?</form>', page, re.DOTALL)[0]
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    assert hidden == [("o", "-5"), ("priced_as__isnull", "True")]
    chosen = re.findall(r'<option value="(\w+)" selected', form)
    assert chosen == ["anthropic", "openai"] or sorted(chosen) == ["anthropic", "openai"]


def test_b1_list_opens_after_logging_in(anonymous, three_providers):
    User.objects.create_superuser("boss", password="a long password")
    reply = anonymous.get(f"{LOGS}{TWO}")
    assert reply.status_code == 302
    form = {"username": "boss", "password": "a long password"}
    next_page = parse_qs(urlsplit(reply["Location"]).query)["next"][0]
    reply = anonymous.post(reply["Location"], {**form, "next": next_page})
    assert reply["Location"] == f"{LOGS}{TWO}"
    assert len(rows(html(anonymous, TWO))) == 10 and cost(html(anonymous, TWO)) == "1.02"


@pytest.fixture
def ties(api, pages_of_ten):
    """50 logs of one time and cost, 26 of them with alias `a`; 40 others."""
    same = {"timestamp": at(2, "08:00:00"), "cost": "0.25", "origin": "=1+1"}
    with_alias = [call("=cmd", alias="a", **same) for _ in range(26)]
    without = [call("+m", **same) for _ in range(24)]
    others = [call("m", "0.1", timestamp=at(5)) for _ in range(40)]
    return store(api, *with_alias, *without, *others)[:26]


def test_b2_ties_are_listed_once_up_and_down(root, ties):
    day = today() - timedelta(days=2)
    for order in ("5", "-5"):
        query = f"?alias__exact=a&created_at__gte={day}&o={order}"
        assert sorted(listed_everywhere(root, query, 3)) == sorted(ties)


def test_b2_files_have_what_is_listed(root, ties):
    day = today() - timedelta(days=2)
    query = f"?alias__exact=a&created_at__gte={day}&o=-5&p=2"
    links = re.findall(r'href="([^"]*export/\w+/[^"]*)"', html(root, query))
    files = {}
    for link in map(unescape, links):
        reply = root.get(link)
        kind = re.search(r"export/(\w+)/", link)[1]
        files[kind] = b"".join(reply.streaming_content).decode()
        assert re.search(
            rf'filename="usage-logs_alias-a_.*{day}.*\.{kind}"', reply["Content-Disposition"]
        )
    lines = [json.loads(line, parse_float=Decimal) for line in files["ndjson"].splitlines()]
    assert sorted(line["id"] for line in lines) == sorted(ties)
    assert [line["id"] for line in lines] == sorted(ties)  # ids carry the time: oldest first
    assert sum(line["cost"] for line in lines) == Decimal("6.5") == Decimal(cost(html(root, query)))
    assert {(line["project"], line["origin"]) for line in lines} == {("ours", "=1+1")}
    cells = list(csv.DictReader(io.StringIO(files["csv"])))
    assert sorted(row["id"] for row in cells) == sorted(ties)
    assert sum(Decimal(row["cost"]) for row in cells) == Decimal("6.5")
    assert {row["model"] for row in cells} == {"'=cmd"}  # no formula of a spreadsheet


def test_b2_export_needs_the_permission_to_view(ties):
    browser = staff("view_project")
    for path in (LOGS, f"{LOGS}export/csv/", f"{LOGS}export/ndjson/"):
        assert browser.get(path).status_code == 403


def test_unknown_kind_of_file_is_not_found(root):
    assert root.get(f"{LOGS}export/xlsx/").status_code == 404


def test_a1_list_has_the_sums_of_the_statistics(root, api, other_api):
    store(
        api,
        call("m1", "0.10", timestamp=at(6, "00:00:00")),
        call("m1", "0.20", timestamp=at(3, "23:59:59.999")),
        call("m2", "0.30", timestamp=at(1)),
        call("m2", "1.25", timestamp=at(0, "00:00:00")),
        call("m3", "0.000000000001", timestamp=at(0, "00:00:00")),
        call("no-such-model-1", timestamp=at(0, "00:00:00")),
    )
    store(other_api, call("m9", "1000000000000.5", timestamp=at(0, "00:00:00")))
    first, end = today() - timedelta(days=6), today() + timedelta(days=1)
    week = f"created_at__gte={first}&created_at__lt={end}"
    page = html(root, f"?{week}&project_id__exact={api.project.id}")
    stats = api.read("/api/v1/stats", {"start_date": f"{first}"})
    assert cost(page) == stats["summary"]["total_cost"] == "1.850000000001"
    assert "1 of 6 calls have no price" in page
    assert "0.000000000001" in page  # nowhere rounded to nothing
    both = html(root, f"?{week}")
    assert cost(both) == "1000000000002.350000000001"
    bar = html(
        root,
        f"?created_at__gte={today()}&created_at__lt={today() + timedelta(days=1)}"
        f"&model__exact=m2&project_id__exact={api.project.id}",
    )
    assert len(rows(bar)) == 1 and cost(bar) == "1.25"
    # Not whole days, so summed from the ledger: the same figures.
    hours = html(
        root,
        f"?created_at__gte={at(6, '00:00:00')}&created_at__lt={at(0, '00:00:01')}"
        f"&project_id__exact={api.project.id}",
    )
    assert cost(hours) == "1.850000000001"


def test_a5_free_is_zero_and_unpriced_is_unknown(root, api):
    free = store(api, *(call("free-local", "0") for _ in range(3)))
    unpriced = store(api, *(call("no-such-model-1") for _ in range(2)))
    [priced] = store(api, call("gpt", "0.0000045"))
    assert cost(html(root)) == "0.0000045"
    assert "2 of 6 calls have no price" in html(root)
    down, up = rows(html(root, "?o=-5")), rows(html(root, "?o=5"))
    assert down[0] == priced and sorted(down[4:]) == sorted(unpriced) == sorted(up[4:])
    assert sorted(up[:3]) == sorted(free)
    only = html(root, "?cost_source__exact=unpriced")
    assert sorted(rows(only)) == sorted(unpriced) and cost(only) == "unknown"


def test_a6_correction_and_its_original_are_told_apart(root, api):
    [wrong] = store(api, call("m1", "0.90", timestamp=at(2)))
    change = {"reason": "wrong model", "model": "m1b", "cost": "0.09"}
    api.send("POST", f"/api/v1/logs/{wrong}/correct", change)
    page = html(root)
    assert len(rows(page)) == 3 and cost(page) == "0.09"
    assert "reversal" in page and "replacement" in page and "-0.9" in page
    reversals = html(root, f"?received_at__gte={today()}&entry_type__exact=reversal")
    assert cost(reversals) == "-0.9" and len(rows(reversals)) == 1
    entries = {row.entry_type: str(row.id) for row in UsageLog.objects.all()}
    original = html(root, path=f"{LOGS}{wrong}/change/")
    assert entries["reversal"] in original and entries["replacement"] in original
    for kind in ("reversal", "replacement"):
        assert wrong in html(root, path=f"{LOGS}{entries[kind]}/change/")


@pytest.fixture
def slow_sums(api, monkeypatch):
    """A page of logs and one, whose sums take longer than a page waits for them."""
    store(api, *(call("m", "1", origin="ours") for _ in range(51)))
    slow = "CASE WHEN pg_sleep(0.05) IS NULL THEN 0 ELSE 1 END"
    monkeypatch.setattr("usage.log_list.SHARE_SQL", {**SHARE_SQL, "requests": slow})
    monkeypatch.setattr("usage.log_list.MAX_SUMMED_AT_ONCE", 50)


def test_sums_that_take_too_long_follow_the_page(root, api, slow_sums, monkeypatch):
    store(api, call("m", "7", origin="other"))
    page = html(root, "?origin__exact=ours&cost_source__exact=caller&o=-5&p=1")
    [address] = re.findall(r'hx-get="(/admin/usage/usagelog/sums/[^"]*)"', page)
    assert len(rows(page)) == 50 and "data-total-cost" not in page
    monkeypatch.setattr("usage.log_list.SHARE_SQL", SHARE_SQL)
    fragment = root.get(unescape(address), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment and cost(fragment) == "51"
    whole = html(root, path=unescape(address))
    assert "<html" in whole and cost(whole) == "51"


def test_sums_say_when_they_are_given_up(root, slow_sums, monkeypatch):
    monkeypatch.setattr("usage.log_list.unless_too_slow", lambda read, **limit: None)
    page = html(root, "?cost_source__exact=caller", path=f"{LOGS}sums/")
    assert "more than 5 seconds: narrow the list" in page


def test_sums_need_the_permission_to_see_logs(api):
    assert staff("view_project").get(f"{LOGS}sums/").status_code == 403


@pytest.mark.slow
def test_sums_of_parts_of_days_are_exact(root, api, pages_of_ten):
    """The whole days of a window are known from the daily sums, the rest from the ledger."""
    times = [(3, "07:59:59"), (3, "08:00:00"), (2, "00:00:00"), (1, "07:59:59"), (1, "08:00:00")]
    entries = [call("m", 10**n, timestamp=at(*time)) for n, time in enumerate(times)]
    store(api, *entries * 12)
    window = f"created_at__gte={at(3, '08:00')}&created_at__lt={at(1, '08:00')}".replace("Z", "")
    for query, expected in (
        (f"?{window}", "13320"),
        (f"?{window}&model__exact=m", "13320"),
        (f"?created_at__gte={at(3, '08:00')[:-1]}", "133320"),
        (f"?created_at__gte={at(1)[:-9]}08:00&created_at__lt={at(1)[:-9]}09:00", "120000"),
    ):
        assert cost(html(root, query)) == expected, query
        assert cost(html(root, f"{query}&o=-5&p=2")) == expected, query


def test_logs_are_found_by_their_receipt(root, api):
    """A call of tomorrow's date is received today."""
    tomorrow = datetime.now(UTC) + timedelta(hours=23)
    ids = store(api, call("m", "1", timestamp=at(9)), call("m", "2", timestamp=str(tomorrow)))
    received = UsageLog.objects.get(id=ids[1]).received_at
    for query, expected in (
        (f"received_at__lte={received.isoformat().replace('+00:00', 'Z')}", ids[::-1]),
        (f"received_at__lt={at(1)}", []),
        (f"received_at__gte={at(1)}", ids[::-1]),
    ):
        assert rows(html(root, f"?{query}")) == expected, query


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cost", "latency_ms"])
def test_sorted_pages_go_on_where_their_indexes_end(root, api, pages_of_ten, name):
    """Some pages are of free and expensive logs alone, some of others, some of both."""
    values = [0] * 12 + [n / 20 for n in range(1, 25)]
    if name == "latency_ms":
        values = [round(value * 200_000) for value in values]
    entries = [{**call("m", 1, timestamp=at(1)), name: value} for value in values]
    *stored, unpriced = store(api, *entries, call("unpriced", timestamp=at(1)))
    # Of equal values the newest is first.
    newest = sorted(zip(values, stored, strict=True), key=lambda pair: pair[1], reverse=True)
    column = {"cost": 5, "latency_ms": 8}[name]
    for order, is_down in ((column, False), (-column, True)):
        pairs = sorted(newest, key=lambda pair: pair[0], reverse=is_down)
        expected = [id for _, id in pairs]
        assert listed_everywhere(root, f"?o={order}", 4) == [*expected, unpriced]
        assert listed_everywhere(root, f"?o={order}&model__exact=m", 4) == expected


@pytest.mark.slow
def test_parts_of_labels_and_ids_are_searched(root, api):
    first, second = store(
        api,
        call("gpt-4o", "1", alias="fast", origin="billing", id_at_origin="chat-7"),
        call("claude", "2", alias="smart", origin="search"),
    )
    for term in ("4O", "fas", "illin", "chat-7", first):
        assert rows(html(root, f"?q={term}")) == [first], term
    assert rows(html(root, "?q=a")) == [second, first]
    for term in ("nothing", "%25", "_", "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"):
        assert rows(html(root, f"?q={term}")) == [], term
    assert cost(html(root, "?q=smart")) == "2"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("model__exact=m1", 2),
        ("model__exact=m1&model__exact=m2", 3),
        ("provider__exact=p&model__exact=m2", 1),
        ("alias__exact=a", 1),
        ("alias__exact=none", 2),
        ("alias__exact=none&alias__exact=a", 3),
        ("origin__exact=o&origin__exact=x", 2),
        ("origin__exact=o&model__exact=m2", 0),
        ("profile__exact=default", 3),
        ("api_key_id__exact={key}", 3),
        ("api_key_id__exact={key}&project_id__exact={project}&alias__exact=a", 1),
        ("project_id__exact={project}&project_id__exact={other}", 3),
        ("project_id__exact={other}", 0),
        ("created_at__gte={today}", 1),
        ("created_at__lt={today}&model__exact=m1", 1),
        ("created_at__gte={today}&created_at__lt={today}", 0),
        ("usage_status__exact=settled&cost_source__exact=caller", 3),
        ("latency_ms__isnull=True", 3),
        ("model__in=m1,m2&alias__isnull=True", 2),
        ("alias__isnull=True", 2),
        ("alias__isnull=False", 1),
        ("project_id__in={project},{other}&model__exact=m2", 1),
    ],
)
def test_filters_work_alone_and_together(root, api, other_api, query, count):
    store(
        api,
        call("m1", "1", alias="a", origin="o", timestamp=at(0, "00:00:00")),
        call("m1", "1", origin="x", timestamp=at(1)),
        call("m2", "1", timestamp=at(9)),
    )
    names = {"key": api.api_key_id, "project": api.project.id, "other": other_api.project.id}
    page = html(root, f"?{query.format(today=today(), **names)}")
    assert len(rows(page)) == count
    assert cost(page) == str(count)


def test_projects_and_keys_are_named_and_everything_is_linked(root, api):
    api.send("POST", "/api/v1/log", call("m", "1", latency_ms=12345))
    conversation = api.send("POST", "/conversations", {"title": "t"})["id"]
    call_of = call("m", "1", metadata={"conversation_id": conversation})
    log = api.send("POST", "/api/v1/log", call_of)["log_id"]
    page = html(root, f"?project_id__exact={api.project.id}")
    assert "project: <b>ours</b>" in page
    assert f'href="/admin/accounts/project/{api.project.id}/change/"' in page and "12,345" in page
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", page)
    detail = html(root, path=f"{LOGS}{log}/change/")
    for link in (
        f"/admin/conversations/conversation/{conversation}/change/",
        f"/admin/accounts/project/{api.project.id}/change/",
        f"/admin/accounts/apikey/{api.api_key_id}/change/",
        f"/admin/receipts/receipt/?certifies={log}",
    ):
        assert f'href="{link}"' in detail, link
        assert root.get(link).status_code == 200, link


def test_list_claims_no_number_of_results_and_times_are_iso(root, api):
    """unfold's paginator for tables that are not counted says 9999999999."""
    store(api, call("m", "1"))
    page = html(root)
    assert "9999999999" not in page and "9,999,999,999" not in page
    key = html(root, path=f"/admin/accounts/apikey/{api.api_key_id}/change/")
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", key)


@pytest.mark.parametrize(
    ("query", "before", "limit"),
    [
        ("o=-5&p=21", "o=-5&p=20", "20"),
        ("o=8&p=21", "o=8&p=20", "20"),
        ("p=1001", "p=1000", "1,000"),
    ],
)
def test_page_one_too_far_is_explained(root, query, before, limit):
    shown = root.get(f"/admin/usage/usagelog/?{query}", follow=True).text
    assert f"Only the first {limit} pages of that list are shown" in shown
    assert "Only the first" not in root.get(f"/admin/usage/usagelog/?{before}", follow=True).text
