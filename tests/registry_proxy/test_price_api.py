"""`/api/v1/prices`: what a project pays, through the API."""

import pytest

from registry_proxy.models import CustomPrice
from tests.client import ApiClient
from tests.threads import at_once

PRICES = "/api/v1/prices"
LOG = "/api/v1/log"
CALL = {"provider": "azure", "model": "my-deployment", "input_tokens": 1000, "output_tokens": 200}
OWN = {"provider": "azure", "model": "my-*", "prices": {"input": 2, "output": "10.5"}}


@pytest.fixture(autouse=True)
def forgotten_prices():
    from registry_proxy import custom_prices

    custom_prices.current.reset()
    yield
    custom_prices.current.reset()


def test_a_price_is_set_listed_applied_and_ended(api, other_api, refreshed):
    """1,000 × 2 + 200 × 10.5, per million."""
    refreshed(11, 20)
    assert api.send("POST", LOG, CALL)["cost_source"] == "unpriced"
    price = api.send("POST", PRICES, OWN)
    assert price["prices"] == {"input": "2", "output": "10.5"}
    assert api.read(f"{PRICES}/{price['id']}") == price
    assert api.read(PRICES) == [price]
    assert api.send("POST", LOG, CALL)["cost"] == 0.0041
    assert other_api.send("POST", LOG, CALL)["cost_source"] == "unpriced"
    assert other_api.read(PRICES) == []
    other_api.read(f"{PRICES}/{price['id']}", expect=404)
    other_api.send("DELETE", f"{PRICES}/{price['id']}", expect=404)
    assert api.send("DELETE", f"{PRICES}/{price['id']}")["valid_to"] is not None
    assert api.send("POST", LOG, CALL)["cost_source"] == "unpriced"


@pytest.mark.parametrize("end", ["2026-11-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_a_price_that_is_to_end_ends_now_and_one_that_has_ended_stays(api, end):
    price = api.send("POST", PRICES, {**OWN, "valid_from": "2026-01-01T00:00:00Z", "valid_to": end})
    ended = api.send("DELETE", f"{PRICES}/{price['id']}")["valid_to"]
    assert (ended == end) == (end < "2026-11-02")
    assert api.send("POST", LOG, CALL)["cost_source"] == "unpriced"


USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 150},
}


@pytest.mark.parametrize(
    ("named", "prices", "cost"),
    [
        # 600 × 2 + 400 × 2 + 50 × 10.5 + 150 × 10.5
        (("azure", "my-deployment"), {"input": 2, "output": 10.5}, 0.0041),
        # 600 × 2 + 400 × 1 + 50 × 10.5 + 150 × 4
        (
            ("azure", "my-deployment"),
            {"input": 2, "cache_read": 1, "output": 10.5, "thinking": 4},
            0.002725,
        ),
        # 600 × 0.15 + 400 × 0.075 + 50 × 1 + 150 × 1
        (("openai", "gpt-4o-mini"), {"output": 1}, 0.00032),
        # 600 × 0.1 + 400 × 0.075 + 50 × 0.6 + 150 × 0.6
        (("openai", "gpt-4o-mini"), {"input": 0.1}, 0.00021),
    ],
    ids=[
        "of a model that the registry lacks",
        "each class its own",
        "an output price is that of thinking",
        "the registry has a price of cache reads",
    ],
)
def test_classes_without_a_price_cost_as_others_do(api, refreshed, named, prices, cost):
    refreshed(11, 20)
    provider, model = named
    api.send("POST", PRICES, {"provider": provider, "model": model, "prices": prices})
    reply = api.send("POST", LOG, {"provider": provider, "model": model, "usage": USAGE})
    assert reply["cost"] == cost
    [row] = api.read("/api/v1/logs")
    assert (row["cost"], row["thinking_tokens"]) == (cost, 150)


def test_overlapping_prices_are_refused_unless_they_replace(api, refreshed):
    refreshed(11, 20)
    first = api.send("POST", PRICES, {**OWN, "valid_from": "2026-11-01T00:00:00Z"})
    api.send("POST", PRICES, {**OWN, "valid_from": "2026-11-10T00:00:00Z"}, expect=409)
    second = {**OWN, "prices": {"input": 4, "output": 4}, "replace": True}
    api.send("POST", PRICES, {**second, "valid_from": "2026-11-10T00:00:00Z"})
    assert api.read(f"{PRICES}/{first['id']}")["valid_to"] == "2026-11-10T00:00:00Z"
    early = {**CALL, "timestamp": "2026-11-05T00:00:00Z"}
    assert api.send("POST", LOG, early)["cost"] == 0.0041
    assert api.send("POST", LOG, {**early, "timestamp": "2026-11-12T00:00:00Z"})["cost"] == 0.0048


def test_a_price_replaces_none_of_other_models_modifiers_and_projects(api, other_api):
    january = {**OWN, "valid_from": "2026-01-01T00:00:00Z"}
    ended = api.send("POST", PRICES, {**january, "valid_to": "2026-02-01T00:00:00Z"})
    replaced = api.send("POST", PRICES, {**january, "valid_from": "2026-02-01T00:00:00Z"})
    for other in ({"provider": "openai"}, {"model": "my-deployment"}, {"modifier": "speed=fast"}):
        api.send("POST", PRICES, {**january, **other})
    other_api.send("POST", PRICES, january)
    CustomPrice.objects.create(**{**january, "prices": {"input": "1"}})  # of all projects
    api.send("POST", PRICES, {**OWN, "valid_from": "2026-03-01T00:00:00Z", "replace": True})
    ends = CustomPrice.objects.exclude(valid_to=None).values_list("id", "valid_to")
    assert {str(id): end.date().isoformat() for id, end in ends} == {
        str(ended["id"]): "2026-02-01",
        str(replaced["id"]): "2026-03-01",
    }


@pytest.mark.django_db(transaction=True)
def test_prices_set_at_once_replace_each_other_in_turn(api):
    """Each ends the one before it when it begins, so that one price holds at any moment."""
    clients = [ApiClient(api.key) for _ in range(8)]

    def replacing(client, number):
        return lambda: client.send("POST", PRICES, {**OWN, "factor": number, "replace": True})

    set_prices = at_once(*[replacing(client, number) for number, client in enumerate(clients)])
    assert len({price["id"] for price in set_prices}) == 8
    rows = CustomPrice.objects.order_by("valid_from").values_list("valid_from", "valid_to")
    begins, ends = zip(*rows, strict=True)
    assert [*ends] == [*begins[1:], None]


@pytest.mark.django_db(transaction=True)
def test_a_price_ended_twice_at_once_is_ended_once(api):
    price = api.send("POST", PRICES, OWN)
    clients = [ApiClient(api.key) for _ in range(4)]

    def ending(client):
        return lambda: client.send("DELETE", f"{PRICES}/{price['id']}")["valid_to"]

    ends = at_once(*map(ending, clients))
    assert len(set(ends)) == 1 and ends[0] is not None
    changes = [event["action"] for event in api.read("/api/v1/audit?action=price.update")]
    assert changes == ["price.update"]


def test_a_deployment_is_priced_as_a_model(api, refreshed):
    """(1,000 × 0.15 + 200 × 0.6) × 0.9, per million."""
    refreshed(11, 20)
    own = {"provider": "azure", "model": "my-deployment", "priced_as": "openai:gpt-4o-mini"}
    api.send("POST", PRICES, {**own, "factor": 0.9})
    assert api.send("POST", LOG, CALL)["cost"] == 0.000243


def test_a_price_that_has_not_begun_is_deleted(api):
    price = api.send("POST", PRICES, {**OWN, "valid_from": "2099-01-01T00:00:00Z"})
    api.send("DELETE", f"{PRICES}/{price['id']}")
    assert not CustomPrice.objects.exists()


def test_the_operators_prices_are_shown_and_stay(api):
    price = CustomPrice.objects.create(provider="*", model="*", factor=2)
    assert api.read(PRICES)[0]["project_id"] is None
    api.send("DELETE", f"{PRICES}/{price.id}", expect=403)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"prices": {"Input!": 1}},
        {"prices": {"input_tokens": 1}},
        {"prices": {"inptu": 1}},
        {"prices": {"input": -1}},
        {"prices": {"input": 1}, "modifier": "fast"},
        {"priced_as": "gpt-4o-mini"},
        {"factor": 1, "valid_from": "2026-11-02T00:00:00Z", "valid_to": "2026-11-01T00:00:00Z"},
        {"factor": "x"},
    ],
)
def test_malformed_prices_are_refused(api, members):
    api.send("POST", PRICES, {"provider": "openai", "model": "x", **members}, expect=422)
    assert not CustomPrice.objects.exists()


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"prices": {"inputs": 1}}, ["prices"]),
        ({"prices": {"input": 2_000_000}}, ["prices"]),
        ({"factor": 10**17}, ["factor"]),
        ({"priced_as": "gpt-4o"}, ["priced_as"]),
        ({"factor": 1, "modifier": "fast"}, ["modifier"]),
        ({}, []),
        ({"factor": 1, "valid_from": "2026-02-01", "valid_to": "2026-01-01"}, []),
    ],
)
def test_refusals_name_the_member(api, members, place):
    body = {"provider": "openai", "model": "x", **members}
    [issue] = api.send("POST", PRICES, body, expect=422)["detail"]
    assert issue["loc"] == ["body", *place]


def test_prices_are_shown_without_exponents(api):
    body = {"provider": "openai", "model": "x", "prices": {"input": 1e-7, "output": "0.10"}}
    assert api.send("POST", PRICES, body)["prices"] == {"input": "0.0000001", "output": "0.1"}


@pytest.mark.parametrize("id", ["0", "x", "99999999999999999999", "%00"])
def test_unknown_prices_are_not_found(api, id):
    api.read(f"{PRICES}/{id}", expect=404)


def test_optional_members_that_are_null_are_absent(api):
    names = ("modifier", "priced_as", "valid_from", "valid_to", "note", "replace")
    nulls = dict.fromkeys(names)
    price = api.send("POST", PRICES, {**OWN, **nulls, "factor": None})
    assert (price["modifier"], price["priced_as"], price["note"]) == ("", "", "")
    assert price["valid_from"] is not None
    by_factor = {"provider": "azure", "model": "other", "factor": 2, "prices": None}
    assert api.send("POST", PRICES, by_factor)["prices"] == {}
    # Without `replace` it would be refused as overlapping; null is not true.
    api.send("POST", PRICES, {**OWN, "replace": None}, expect=409)
