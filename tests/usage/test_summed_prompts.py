"""Reports of several requests at a model whose long prompts cost more (docs, section "Cost")."""

import pytest

from tests.registry_proxy import samples
from tests.registry_proxy.test_custom_pricing import custom

LOG, LOGS = "/api/v1/log", "/api/v1/logs"


@pytest.fixture
def real_prices(refreshed):
    refreshed(11, 20, **samples.real_files())


def report(*prompts: int) -> dict:
    """Of gpt-5.4, whose prompts are long above 272,000 tokens."""
    entries = [
        {"input_tokens": prompt, "output_tokens": 1000, "total_tokens": prompt + 1000}
        for prompt in prompts
    ]
    usage = {
        "requests": len(prompts),
        "input_tokens": sum(prompts),
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1000 * len(prompts),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(prompts) + 1000 * len(prompts),
        "request_usage_entries": entries,
    }
    return {"provider": "openai", "model": "gpt-5.4", "usage": usage}


def test_each_prompt_counts_and_not_their_sum(api, real_prices):
    """300,000 × 2.5 + 2,000 × 15, per million; as one request 300,000 × 5 + 2,000 × 22.5."""
    assert api.send("POST", LOG, report(150_000, 150_000))["cost"] == 0.78
    (log,) = api.read(LOGS)
    assert (log["input_tokens"], log["modifiers"]) == (300_000, {"prompts": "150000-150000"})


def test_sums_of_short_and_long_prompts_have_no_price_but_the_operators(api, real_prices):
    reply = api.send("POST", LOG, report(100_000, 300_000))
    assert reply["unpriced_reason"] == (
        "no one price for requests with short and with long prompts of openai:gpt-5.4"
    )
    custom("openai", "gpt-5.4", prices={"input": "3", "output": "16"})
    # 400,000 × 3 + 2,000 × 16
    assert api.send("POST", LOG, report(100_000, 300_000))["cost"] == 1.232


@pytest.mark.parametrize("prompts", ["many", "1-", "-1", "2-1-3"])
def test_prompts_that_are_no_range_are_a_modifier_without_a_price(api, real_prices, prompts):
    call = {"provider": "openai", "model": "gpt-5.4", "input_tokens": 100, "output_tokens": 10}
    reply = api.send("POST", LOG, {**call, "modifiers": {"prompts": prompts}})
    assert reply["unpriced_reason"] == f"no price for prompts {prompts} of openai:gpt-5.4"


def test_corrected_counts_are_no_longer_than_their_sum(api, real_prices):
    """100 × 2.5 + 10 × 15: one correct count is short, whatever the prompts were said to be."""
    log_id = api.send("POST", LOG, report(100_000, 300_000))["log_id"]
    correction = {"reason": "counted twice", "input_tokens": 100, "output_tokens": 10}
    reply = api.send("POST", f"{LOGS}/{log_id}/correct", correction)
    assert reply["replacement"]["cost"] == 0.0004
