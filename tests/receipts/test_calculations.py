"""`cost.calculation`: complete enough to compute the amount again, to the last digit."""

import re
from decimal import Decimal

import pytest

from receipts import verification
from registry_proxy.models import Snapshot
from tests.receipts import vectors

ISSUE = "/api/v1/receipts/issue"
TOKENS = {"input": 1000, "output": 200, "cached_input": 400}


@pytest.fixture
def draft(signing, upstream):
    upstream.publish()
    return {"id": "r", "model": "openai:gpt-4o-mini", "tokens": TOKENS, "cost": {}}


def recomputed(calculation: str) -> Decimal:
    """The sum of the terms, as a reader of the text would do it."""
    terms = re.findall(r"\w+ (\d+) \* ([\d.]+)", calculation.split(" = ")[0])
    return sum(int(tokens) * Decimal(price) for tokens, price in terms) / 1_000_000


def test_an_amount_left_to_us_comes_with_its_terms_prices_and_registry(api, draft):
    receipt = api.send("POST", ISSUE, draft)
    verification.verify(receipt, [vectors.KEY.public])
    snapshot = Snapshot.objects.get()
    assert receipt["cost"] == {
        "amount": "0.00024",
        "calculation": "input 600 * 0.15 + cache_read 400 * 0.075 + output 200 * 0.6 "
        "= 240 per 1000000 = 0.00024 USD; "
        f"openai:gpt-4o-mini in registry {snapshot.name} sha256:{snapshot.digest}",
    }
    assert recomputed(receipt["cost"]["calculation"]) == Decimal("0.00024")


def test_a_custom_price_is_named_beside_the_registry(api, draft):
    """600 × 0.15 + 400 × 0.075 + 200 × 1, per million."""
    own = {"provider": "openai", "model": "gpt-4o-mini", "prices": {"output": 1}}
    price = api.send("POST", "/api/v1/prices", own)
    cost = api.send("POST", ISSUE, draft)["cost"]
    assert cost["amount"] == "0.00032"
    snapshot = Snapshot.objects.get()
    source = f"registry {snapshot.name} sha256:{snapshot.digest} and custom price {price['id']}"
    assert cost["calculation"].endswith(f" = 0.00032 USD; openai:gpt-4o-mini in {source}")


def test_a_custom_price_of_an_unknown_model_needs_no_registry(api, draft):
    own = {"provider": "azure", "model": "mine", "prices": {"input": 2, "output": 10}}
    price = api.send("POST", "/api/v1/prices", own)
    cost = api.send("POST", ISSUE, draft | {"model": "azure:mine", "provider": None})["cost"]
    assert cost == {
        "amount": "0.004",
        "calculation": "input 600 * 2 + cache_read 400 * 2 + output 200 * 10 "
        f"= 4000 per 1000000 = 0.004 USD; azure:mine in custom price {price['id']}",
    }


@pytest.mark.parametrize("cost", [None, {}, {"amount": None}, {"calculation": "mine"}])
def test_the_server_computes_an_amount_that_is_not_stated(api, draft, cost):
    receipt = api.send("POST", ISSUE, draft | {"cost": cost})
    assert receipt["cost"]["amount"] == "0.00024"
    assert "in registry" in receipt["cost"]["calculation"]


def test_a_stated_amount_stays_with_the_registrys_beside_it(api, draft):
    for amount in (0.005, "0.0050", 7):
        receipt = api.send("POST", ISSUE, draft | {"cost": {"amount": amount}})
        assert receipt["cost"]["amount"] == amount
        calculation = receipt["cost"]["calculation"]
        stated, _, by_registry = calculation.partition("; by the registry: ")
        assert stated == "stated by the caller"
        assert recomputed(by_registry) == Decimal("0.00024")


def test_a_stated_calculation_stays(api, draft):
    cost = {"amount": "0.005", "calculation": "flat fee"}
    assert api.send("POST", ISSUE, draft | {"cost": cost})["cost"] == cost


def test_without_a_price_the_calculation_gives_the_reason(api, draft):
    receipt = api.send("POST", ISSUE, draft | {"model": "gpt-9", "provider": "openai"})
    assert receipt["cost"] == {
        "amount": "0",
        "calculation": "unpriced: no prices for openai:gpt-9",
    }


def test_no_tokens_cost_nothing(api, draft):
    receipt = api.send("POST", ISSUE, draft | {"tokens": {"input": 0, "output": 0}})
    assert receipt["cost"]["amount"] == "0"
    assert receipt["cost"]["calculation"].startswith("no tokens = 0 per 1000000 = 0 USD; ")


def test_plain_usage_details_are_enough(api, draft):
    details = {
        "model": "gpt-4o-mini",
        "provider": "openai",
        "input_tokens": 1000,
        "output_tokens": 200,
        "cached_input_tokens": 400,
    }
    receipt = api.send("POST", ISSUE, details)
    assert (receipt["tokens"], receipt["cost"]["amount"]) == (TOKENS, "0.00024")
    assert receipt["id"].startswith("rcpt_") and "input_tokens" not in receipt


def test_a_batch_splits_its_cost_by_the_registrys_prices(api, draft):
    """1000 and 200 tokens at 0.15 and 0.6 dollars: prompts make 0.00015 of 0.00027."""
    for _ in range(2):
        api.send(
            "POST",
            "/api/v1/log",
            {
                "provider": "openai",
                "model": "gpt-4o-mini",
                "input_tokens": 1000,
                "output_tokens": 200,
            },
        )
    body = {"since_last_receipt": True}
    receipt = api.send("POST", "/api/v1/receipts/generate", body)["receipt"]
    assert (receipt["input_cost"], receipt["output_cost"], receipt["total_cost"]) == (
        0.0003,
        0.00024,
        0.00054,
    )


class TestSplitOfCorrections:
    """A call of 1000 and 100 tokens at 0.15 and 0.6 dollars: 0.00015 and 0.00006."""

    @pytest.fixture
    def certified(self, api, draft) -> str:
        id = self.log(api, 1000, 100)
        assert self.parts(api) == (0.00015, 0.00006, 0.00021)
        return id

    def log(self, api, input: int, output: int) -> str:
        call = {"provider": "openai", "model": "gpt-4o-mini"}
        counts = {"input_tokens": input, "output_tokens": output}
        return api.send("POST", "/api/v1/log", call | counts)["log_id"]

    def parts(self, api) -> tuple[float, float, float]:
        body = {"since_last_receipt": True}
        receipt = api.send("POST", "/api/v1/receipts/generate", body)["receipt"]
        return receipt["input_cost"], receipt["output_cost"], receipt["total_cost"]

    def test_a_void_takes_both_parts_back(self, api, certified):
        api.send("POST", f"/api/v1/logs/{certified}/void", {"reason": "twice"})
        assert self.parts(api) == (-0.00015, -0.00006, -0.00021)

    @pytest.mark.parametrize(
        ("input", "output", "parts"),
        [
            (500, 100, (-0.000075, 0, -0.000075)),
            (1000, 50, (0, -0.00003, -0.00003)),
            (2000, 100, (0.00015, 0, 0.00015)),
            # Too much of one and too little of the other.
            (500, 300, (-0.000075, 0.00012, 0.000045)),
        ],
    )
    def test_a_replacement_changes_the_part_that_was_wrong(
        self, api, certified, input, output, parts
    ):
        correction = {"reason": "typo", "input_tokens": input, "output_tokens": output}
        api.send("POST", f"/api/v1/logs/{certified}/correct", correction)
        assert self.parts(api) == parts

    def test_other_calls_of_the_model_are_split_beside_them(self, api, certified):
        """600 and 300 tokens make 0.00009 and 0.00018."""
        api.send("POST", f"/api/v1/logs/{certified}/void", {"reason": "twice"})
        self.log(api, 600, 300)
        assert self.parts(api) == (-0.00006, 0.00012, 0.00006)


@pytest.mark.parametrize(
    ("details", "tokens", "amount"),
    [
        # 1000 fresh and 400 cached tokens, 200 of output at 0.15, 0.075 and 0.6 dollars.
        (
            {
                "usage": {
                    "prompt_tokens": 1400,
                    "completion_tokens": 200,
                    "prompt_tokens_details": {"cached_tokens": 400},
                }
            },
            {"input": 1400, "output": 200, "cached_input": 400},
            "0.0003",
        ),
        (
            {"input_tokens": 1000, "output_tokens": 200, "cached_input_tokens": 5000},
            {"input": 6000, "output": 200, "cached_input": 5000},
            "0.000645",
        ),
        (
            {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "cost": 0.25}},
            {"input": 9, "output": 1, "cached_input": 0},
            "0.25",
        ),
    ],
)
def test_usage_is_read_as_in_the_ledger(api, draft, details, tokens, amount):
    call = {"provider": "openai", "model": "gpt-4o-mini", **details}
    receipt = api.send("POST", ISSUE, call)
    verification.verify(receipt, [vectors.KEY.public])
    assert (receipt["tokens"], receipt["cost"]["amount"]) == (tokens, amount)
    assert receipt.get("usage") == details.get("usage")  # it is signed as it was sent
    logged = api.send("POST", "/api/v1/log", call)
    assert Decimal(str(logged["cost"])) == Decimal(amount)
    stored = api.send("POST", "/api/v1/receipts", {"id": "x", **call})
    assert api.send("POST", "/api/v1/receipts", {"id": "x", **call}) == stored


NOTHING = {"input": 0, "output": 0, "cached_input": 0}
WITHOUT_COUNTS = {"failed": "failed: nothing was billed", "unknown": "unpriced: unknown usage"}


@pytest.mark.parametrize("status", WITHOUT_COUNTS)
@pytest.mark.parametrize(
    "zeros",
    [
        {},
        {"input_tokens": 0, "output_tokens": 0},
        {"tokens": {"input": 0, "output": 0}},
        {"tokens": {"input": 0, "output": 0}, "cost": {"amount": "0"}},
    ],
)
def test_a_call_without_counts_says_why_it_costs_nothing(api, draft, status, zeros):
    call = {"provider": "openai", "model": "gpt-4o-mini", "usage_status": status, **zeros}
    receipt = api.send("POST", ISSUE, call)
    verification.verify(receipt, [vectors.KEY.public])
    assert (receipt["tokens"], receipt["usage_status"]) == (NOTHING, status)
    assert receipt["cost"] == {"amount": "0", "calculation": WITHOUT_COUNTS[status]}
    stored = api.send("POST", "/api/v1/receipts", {"id": "x", **call})
    assert api.send("POST", "/api/v1/receipts", {"id": "x", **call}) == stored


@pytest.mark.parametrize("status", WITHOUT_COUNTS)
@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"input_tokens": 5, "output_tokens": 0}, ["input_tokens"]),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 0}}, ["usage"]),
        ({"tokens": {"input": 0, "output": 5}}, ["tokens", "output"]),
        ({"tokens": {"input": 0, "output": 0}, "cost": 0.25}, ["cost"]),
        ({"cost": {"amount": 0.25, "calculation": "flat fee"}}, ["cost"]),
        (
            {
                "tokens": {"input": 5, "output": 0},
                "cost": {"amount": 0, "calculation": "flat fee"},
            },
            ["tokens", "input"],
        ),
    ],
)
def test_a_call_without_counts_states_none(api, draft, status, members, place):
    call = {"provider": "openai", "model": "gpt-4o-mini", "usage_status": status, **members}
    (error,) = api.send("POST", ISSUE, call, expect=422)["detail"]
    assert error["loc"] == ["body", *place]
    assert error["msg"] == f"Input should be null where usage_status is {status}"


@pytest.mark.parametrize("status", ["settled", "estimated"])
def test_other_calls_are_priced_whatever_their_status(api, draft, status):
    receipt = api.send("POST", ISSUE, draft | {"usage_status": status})
    assert (receipt["cost"]["amount"], receipt["usage_status"]) == ("0.00024", status)


@pytest.mark.parametrize("status", ["lost", 5, ["failed"], {}])
def test_other_statuses_are_refused_as_in_a_log(api, draft, status):
    (error,) = api.send("POST", ISSUE, draft | {"usage_status": status}, expect=422)["detail"]
    assert (error["type"], error["loc"]) == ("enum", ["body", "usage_status"])


def test_another_usage_under_the_same_id_is_409(api, draft):
    call = {"id": "x", "model": "gpt-4o-mini", "provider": "openai", "input_tokens": 1}
    api.send("POST", "/api/v1/receipts", call | {"output_tokens": 1})
    api.send("POST", "/api/v1/receipts", call | {"output_tokens": 2}, expect=409)
