"""Setting a price in the admin: what it would change is shown before anything is written, A5."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry

from registry_proxy import custom_prices
from registry_proxy.models import CustomPrice
from tests.staff import superuser
from usage.models import UsageLog

PRICE = "/admin/usage/usagelog/price/"
LOGS = "/admin/usage/usagelog/"
CALL = {"provider": "azure", "model": "mine", "input_tokens": 1_000_000, "output_tokens": 1_000}
DAY = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
FORM = {
    "provider": "azure",
    "model": "mine",
    "input": "2.5",
    "output": "10",
    "valid_from": DAY,
    "reprice": "on",
}


@pytest.fixture
def root(db_all):
    custom_prices.current.reset()
    yield superuser()
    custom_prices.current.reset()


@pytest.fixture
def calls(api):
    """Two calls of a model without a price, and one of another."""
    logs = [{**CALL, "timestamp": f"{DAY}T12:00:00Z"}, CALL, {**CALL, "model": "other"}]
    return api.send("POST", "/api/v1/log/batch", {"logs": logs})["results"]


def test_a5_list_and_log_lead_to_a_filled_in_form(root, calls):
    for page in (LOGS, f"{LOGS}{calls[0]['log_id']}/change/"):
        html = root.get(page).content.decode()
        [link] = {unescape(found) for found in re.findall(rf'href="({PRICE}\?[^"]*mine)"', html)}
        form = root.get(link).content.decode()
        values = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        assert (values["provider"], values["model"], values["valid_from"]) == ("azure", "mine", DAY)


def test_a5_preview_says_what_would_change_and_writes_nothing(root, api, calls):
    """1,000,000 at 2.5 a million and 1,000 at 10 a million are 2.51 dollars, twice."""
    html = root.post(PRICE, {**FORM, "preview": "1"}).content.decode()
    assert "<b>2</b> calls without a price would cost <b>5.02</b> USD" in html
    assert CustomPrice.objects.count() == 0 and UsageLog.objects.count() == 3
    assert api.send("POST", "/api/v1/log", CALL)["cost_source"] == "unpriced"


def test_a5_saving_prices_the_calls_again(root, api, calls):
    reply = root.post(PRICE, {**FORM, "save": "1"}, follow=True)
    html = reply.content.decode()
    assert "2 logs priced again" in html and "mine" in reply.redirect_chain[-1][0]
    assert api.read("/api/v1/stats", {"model": "mine"})["summary"]["total_cost"] == "5.02"
    assert CustomPrice.objects.get().prices == {"input": "2.5", "output": "10"}
    [entry] = LogEntry.objects.all()
    assert entry.user.username == "root"
    author = UsageLog.objects.filter(entry_type="replacement").first().correction_author
    assert author == f"user {entry.user_id}"
    assert api.send("POST", "/api/v1/log", CALL)["cost"] == 2.51


@pytest.mark.parametrize("pattern", ["*", "mi*"])
def test_saving_a_pattern_shows_calls_that_it_applies_to(root, calls, pattern):
    """No call has the pattern as its model: such a list would be empty."""
    reply = root.post(PRICE, {**FORM, "model": pattern, "save": "1"}, follow=True)
    shown = {log["log_id"] for log in calls if log["log_id"] in reply.content.decode()}
    assert calls[0]["log_id"] in shown


def test_saving_a_projects_price_shows_its_calls_alone(root, api, other_api, calls):
    elsewhere = other_api.send("POST", "/api/v1/log", CALL)["log_id"]
    form = {**FORM, "project": api.project.id, "save": "1"}
    html = root.post(PRICE, form, follow=True).content.decode()
    assert calls[0]["log_id"] in html and elsewhere not in html


def test_price_may_be_saved_without_pricing_again(root, api, calls):
    root.post(PRICE, {**FORM, "reprice": "", "save": "1"})
    assert CustomPrice.objects.count() == 1 and UsageLog.objects.count() == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", "much"),
        ("input", "-1"),
        ("valid_from", "yesterday"),
        ("valid_from", "0001-01-01"),
        ("provider", ""),
        ("priced_as", "gpt-4o-mini"),
        ("model", "a\x00b"),
    ],
)
def test_odd_input_is_refused(root, name, value):
    for button in ("preview", "save"):
        reply = root.post(PRICE, {**FORM, name: value, button: "1"})
        assert reply.status_code == 200
        assert reply.context["form"].errors
    assert not CustomPrice.objects.exists()


def test_price_without_an_amount_is_refused(root):
    reply = root.post(PRICE, {**FORM, "input": "", "output": "", "save": "1"})
    assert "A price needs" in reply.content.decode() and not CustomPrice.objects.exists()


def test_price_that_overlaps_another_is_refused(root, api):
    root.post(PRICE, {**FORM, "save": "1"})
    reply = root.post(PRICE, {**FORM, "save": "1"})
    assert "Another price for these models" in reply.content.decode()
    assert CustomPrice.objects.count() == 1


def test_more_calls_than_a_page_prices_are_left_to_the_command(root, calls, monkeypatch):
    monkeypatch.setattr("usage.price_page.MAX_REPRICED", 1)
    html = root.post(PRICE, {**FORM, "preview": "1"}).content.decode()
    assert "manage.py repricelogs --unpriced" in html


def test_calls_that_take_too_long_to_find_are_left_to_the_command(root, calls, monkeypatch):
    monkeypatch.setattr("usage.price_page.unless_too_slow", lambda read: None)
    html = root.post(PRICE, {**FORM, "preview": "1"}).content.decode()
    assert "Finding the calls takes too long" in html
    html = root.post(PRICE, {**FORM, "save": "1"}, follow=True).content.decode()
    assert "manage.py repricelogs --unpriced" in html
    assert CustomPrice.objects.count() == 1 and UsageLog.objects.count() == 3


@pytest.mark.parametrize(
    "query",
    ["provider=%00&model=%00", "model=x&project=y", "project=%00", "", "provider=a&model=b"],
)
def test_odd_addresses_get_a_form(root, query):
    assert root.get(f"{PRICE}?{query}").status_code == 200


def test_what_stays_unpriced_is_said_with_its_reason(root, calls):
    html = root.post(PRICE, {**FORM, "output": "", "preview": "1"}).content.decode()
    assert "<b>0</b> calls" in html and "Still unpriced: " in html
