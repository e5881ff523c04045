"""For any tokens and prices every form of a report is stored with the same cost, for good."""

from decimal import Decimal
from io import StringIO
from itertools import count

import pytest
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_proxy.tokens import Tokens
from tests.registry_proxy import samples
from tests.usage.forms import forms_of

BATCH = "/api/v1/log/batch"
CALL = {"provider": "openai", "model": "gpt-4o-mini"}
# Each class, and the registry's price of it; a write of no stated lifetime lives five minutes.
PRICES = {
    "input": "input",
    "cache_read": "cache_read",
    "cache_write_5m": "cache_write_5m",
    "cache_write_1h": "cache_write_1h",
    "cache_write": "cache_write_5m",
    "output": "output",
    "thinking": "output_thinking",
}
counts = st.integers(0, 10**7) | st.just(0)
text_tokens = st.builds(Tokens, **dict.fromkeys(PRICES, counts))
prices = st.fixed_dictionaries(
    dict.fromkeys(sorted(set(PRICES.values())), st.decimals(0, 200, places=4))
)


def cost_of(tokens: Tokens, dollars: dict[str, Decimal]) -> Decimal:
    millionths = sum(getattr(tokens, name) * dollars[price] for name, price in PRICES.items())
    return millionths / 1_000_000


@pytest.mark.slow
def test_every_form_costs_the_same_and_repricing_finds_nothing(api, refreshed):
    days = count(1)

    @settings(max_examples=12)
    @given(text_tokens, prices)
    def check(tokens, dollars):
        members = {f"dollars_per_million_tokens_{name}": float(n) for name, n in dollars.items()}
        changed = samples.changed("openai", samples.MINI, **members)
        day = next(days)
        refreshed(11, day, openai=changed)
        call = {**CALL, "timestamp": f"2026-11-{day:02}T13:00:00Z"}
        reports = [{**call, **form} for form in forms_of(tokens).values()]
        results = api.send("POST", BATCH, {"logs": reports})["results"]
        assert {result["cost"] for result in results} == {float(cost_of(tokens, dollars))}
        assert {result["cost_source"] for result in results} == {"registry"}

    check()
    out = StringIO()
    call_command("repricelogs", "--from", "2026-01-01", "--dry-run", stdout=out, stderr=StringIO())
    assert out.getvalue().endswith(" 0 would change, by 0 USD in all\n")
