"""A call costs what this server held when it was made."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from registry_proxy import pricing
from registry_proxy.models import Snapshot
from registry_proxy.tokens import Tokens
from tests.registry_proxy import samples

CALL = "openai", "gpt-4o-mini", Tokens(input=1000, output=200)
PRICE = "dollars_per_million_tokens_input"


@pytest.fixture
def three_prices(refreshed):
    """Snapshots of 19, 20 and 21 August at noon; input of gpt-4o-mini at 0.15, 0.1 and 0.05."""
    first = refreshed(8, 19)
    others = [
        refreshed(8, day, openai=samples.changed("openai", samples.MINI, **{PRICE: price}))
        for day, price in ((20, 0.1), (21, 0.05))
    ]
    return [first, *others]


@pytest.mark.parametrize(
    "at, position, cost",
    [
        (datetime(2026, 8, 19, 12, tzinfo=UTC), 0, "0.00027"),
        (datetime(2026, 8, 20, 11, 59, 59, tzinfo=UTC), 0, "0.00027"),
        (datetime(2026, 8, 20, 12, tzinfo=UTC), 1, "0.00022"),
        (datetime(2026, 8, 21, 12, tzinfo=UTC), 2, "0.00017"),
        (datetime(2030, 1, 1, tzinfo=UTC), 2, "0.00017"),
        (datetime(2020, 1, 1, tzinfo=UTC), 0, "0.00027"),
        (None, 2, "0.00017"),
    ],
    ids=["then", "before a change", "at a change", "newest", "future", "before the oldest", "now"],
)
def test_a_call_costs_what_this_server_held_when_it_was_made(three_prices, at, position, cost):
    priced = pricing.price(*CALL, at=at)
    assert (priced.cost, priced.snapshot_id) == (Decimal(cost), three_prices[position].id)


def test_a_cost_can_be_recomputed_from_its_snapshot(three_prices):
    costs = [pricing.price(*CALL, snapshot_id=each.id).cost for each in three_prices]
    assert costs == [Decimal("0.00027"), Decimal("0.00022"), Decimal("0.00017")]
    with pytest.raises(Snapshot.DoesNotExist):
        pricing.price(*CALL, snapshot_id=99)


def test_prices_in_memory_take_no_query(three_prices, django_assert_num_queries):
    at = datetime(2026, 8, 19, 13, tzinfo=UTC)
    pricing.price(*CALL, at=at)
    with django_assert_num_queries(0):
        pricing.price(*CALL, at=at)
        pricing.price("OpenAI", "models/GPT-4O-mini", Tokens(1))
