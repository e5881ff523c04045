"""Every change of a price is an event of the audit log, whichever way it is made."""

import pytest
from django.core.management import call_command

from accounts.models import AuditEvent, User
from registry_proxy.models import CustomPrice
from tests.registry_proxy.test_price_api import OWN, PRICES

pytestmark = pytest.mark.usefixtures("db_all", "forgotten_prices")
LIST = "/admin/registry_proxy/customprice/"
TIMES = {"valid_from_0": "2026-01-01", "valid_from_1": "00:00:00"}


@pytest.fixture
def forgotten_prices():
    from registry_proxy import custom_prices

    custom_prices.current.reset()
    yield
    custom_prices.current.reset()


@pytest.fixture
def root(client):
    user = User.objects.create_superuser("root")
    client.force_login(user)
    client.user = user
    return client


def recorded() -> list[tuple]:
    events = AuditEvent.objects.filter(action__startswith="price.").order_by("at", "id")
    return [
        (event.action, event.actor, event.details["old"], event.details["new"]) for event in events
    ]


def test_price_set_and_ended_by_a_key(api):
    price = api.send("POST", PRICES, {**OWN, "valid_from": "2026-01-01T00:00:00Z"})
    ended = api.send("DELETE", f"{PRICES}/{price['id']}")
    key = f"key:{api.read('/api/v1/keys')[0]['id']}"
    new = {"prices": {"input": "2", "output": "10.5"}, "valid_from": "2026-01-01T00:00:00+00:00"}
    until = ended["valid_to"].replace("Z", "+00:00")
    assert recorded() == [
        ("price.create", key, {}, new),
        ("price.update", key, {}, {"valid_to": until}),
    ]
    event = AuditEvent.objects.filter(action="price.create").get()
    assert str(event.project_id) == api.read("/api/v1/audit?action=price.create")[0]["project_id"]
    assert event.details["price_id"] == price["id"]
    assert (event.details["provider"], event.details["model"]) == ("azure", "my-*")


def test_price_that_has_not_begun_is_deleted(api):
    price = api.send("POST", PRICES, {**OWN, "valid_from": "2100-01-01T00:00:00Z"})
    api.send("DELETE", f"{PRICES}/{price['id']}")
    [created, deleted] = recorded()
    assert deleted == ("price.delete", created[1], created[3], {})


def test_price_that_replaces_another_by_command():
    call_command("setprice", "local", "llama", "input=1", valid_from="2026-01-01")
    call_command("setprice", "local", "llama", "input=2", valid_from="2026-02-01", replace=True)
    january, february = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
    actor = "command:setprice"
    assert recorded() == [
        ("price.create", actor, {}, {"prices": {"input": "1"}, "valid_from": january}),
        ("price.update", actor, {}, {"valid_to": february}),
        ("price.create", actor, {}, {"prices": {"input": "2"}, "valid_from": february}),
    ]


def test_price_in_the_admin(root):
    form = {"provider": "local", "model": "llama", "prices": '{"input": "1"}', **TIMES}
    assert root.post(f"{LIST}add/", form).status_code == 302
    row = CustomPrice.objects.get()
    form = {"note": "contract 7", "valid_to_0": "2027-01-01", "valid_to_1": "00:00:00"}
    assert root.post(f"{LIST}{row.id}/change/", form).status_code == 302
    actor = f"user:{root.user.pk}"
    assert [event[:2] for event in recorded()] == [("price.create", actor), ("price.update", actor)]
    changed = {"note": "contract 7", "valid_to": "2027-01-01T00:00:00+00:00"}
    assert recorded()[1][2:] == ({}, changed)


def test_price_of_an_unpriced_model(root):
    form = {"provider": "local", "model": "llama", "input": "2.5", "valid_from": "2026-01-01"}
    root.post("/admin/usage/usagelog/price/", {**form, "save": "1"})
    assert [event[:2] for event in recorded()] == [("price.create", f"user:{root.user.pk}")]


def test_price_that_is_refused_is_not_recorded(api):
    api.send("POST", PRICES, OWN)
    api.send("POST", PRICES, OWN, expect=409)
    assert len(recorded()) == 1
