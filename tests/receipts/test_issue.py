"""`POST /receipts/issue`: what is returned is exactly what was signed; nothing is stored."""

import pytest

from receipts import verification
from receipts.models import Receipt
from tests.receipts import vectors

ISSUE = "/api/v1/receipts/issue"
FLAT_DRAFT = {
    "alias": "summarizer",
    "provider": "openai",
    "model": "gpt-4o",
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "input_cost": 0.001,
    "output_cost": 0.002,
    "total_cost": 0.003,
}


@pytest.fixture
def issue(api, signing):
    def issue(draft, *, expect=200):
        return api.send("POST", ISSUE, draft, expect=expect)

    return issue


def test_vectors_get_the_signatures_of_the_contract(issue):
    assert issue(vectors.flat()) == vectors.signed_flat()
    assert issue(vectors.nested()) == vectors.signed_nested()


def test_a_given_signature_and_key_id_are_ignored(issue):
    assert issue(vectors.flat() | {"signature": "x"}) == vectors.signed_flat()
    assert issue(vectors.nested() | {"signature": "x", "key_id": "x"}) == vectors.signed_nested()


def test_defaults_of_the_flat_form(issue):
    receipt = issue(FLAT_DRAFT)
    assert receipt.pop("receipt_id").startswith("rcpt_")
    assert receipt.pop("timestamp").endswith("Z")
    assert receipt.pop("signature").startswith("ed25519:")
    assert receipt == FLAT_DRAFT | {"profile": "default", "lock_digest": ""}


def test_defaults_of_the_nested_form(issue):
    draft = {
        "model": "gpt-4o",
        "tokens": {"input": 1, "output": 2},
        "cost": {"amount": "0.1", "calculation": "by hand"},
    }
    receipt = issue(draft)
    verification.verify(receipt, [vectors.KEY.public])
    assert receipt.pop("id").startswith("rcpt_")
    assert receipt.pop("timestamp").endswith("Z")
    del receipt["signature"]
    assert receipt == draft | {
        "alias": "default",
        "profile": "default",
        "lock_digest": "",
        "key_id": "k-2025",
        "tokens": {"input": 1, "output": 2, "cached_input": 0},
    }


def test_nested_receipts_keep_members_that_we_do_not_know(issue):
    draft = vectors.nested() | {"registry_version": "2025-08-20", "team": {"é": [None, 1.50]}}
    draft["tokens"]["audio"] = 7
    receipt = issue(draft)
    verification.verify(receipt, [vectors.KEY.public])
    assert receipt == draft | {"signature": receipt["signature"]}


def test_flat_receipts_have_thirteen_members(issue):
    """So that every generation verifies them; and nobody has a summary signed unseen."""
    receipt = issue(vectors.flat() | {"batch_summary": {"total_calls": 9}, "team": "x"})
    assert receipt == vectors.signed_flat()


def test_the_bytes_are_the_canonical_text(api, signing):
    reply = api.generic("POST", ISSUE, vectors.FLAT_TEXT, content_type="application/json")
    signature = f'"signature":"{vectors.FLAT_SIGNATURE}","timestamp"'
    assert reply.content.decode() == vectors.FLAT_TEXT.replace('"timestamp"', signature)


def test_nothing_is_stored(issue):
    issue(vectors.flat())
    assert not Receipt.objects.exists()


@pytest.mark.parametrize(
    ("change", "type", "place"),
    [
        ({"alias": None}, "string_type", ["alias"]),
        ({"alias": "\x00"}, "null_character", ["alias"]),
        ({"model": "m" * 256}, "string_too_long", ["model"]),
        ({"prompt_tokens": -1}, "greater_than_equal", ["prompt_tokens"]),
        ({"prompt_tokens": 1.5}, "int_from_float", ["prompt_tokens"]),
        ({"total_cost": -0.1}, "greater_than_equal", ["total_cost"]),
        ({"total_cost": "x"}, "float_parsing", ["total_cost"]),
        ({"timestamp": "yesterday"}, "datetime_parsing", ["timestamp"]),
        ({"timestamp": "0001-01-01T00:00:00+23:00"}, "datetime_parsing", ["timestamp"]),
        ({"receipt_id": 5}, "string_type", ["receipt_id"]),
    ],
)
def test_flat_drafts_are_validated(issue, change, type, place):
    (error,) = issue(FLAT_DRAFT | change, expect=422)["detail"]
    assert (error["type"], error["loc"]) == (type, ["body", *place])


@pytest.mark.parametrize(
    ("change", "type", "place"),
    [
        ({"model": None}, "string_type", ["model"]),
        ({"tokens": {"input": 1}}, "missing", ["tokens", "output"]),
        ({"tokens": {"input": 1, "output": -1}}, "greater_than_equal", ["tokens", "output"]),
        (
            {"tokens": {"input": 1, "output": 1, "cached_input": 2}},
            "less_than_equal",
            ["tokens", "cached_input"],
        ),
        ({"cost": {"amount": "x", "calculation": ""}}, "float_parsing", ["cost", "amount"]),
        ({"cost": {"amount": -1, "calculation": ""}}, "greater_than_equal", ["cost", "amount"]),
        ({"cost": {"amount": 1, "calculation": 5}}, "string_type", ["cost", "calculation"]),
    ],
)
def test_nested_drafts_are_validated(issue, change, type, place):
    (error,) = issue(vectors.nested() | change, expect=422)["detail"]
    assert (error["type"], error["loc"]) == (type, ["body", *place])


def test_every_missing_member_is_named(issue):
    missing = [error["loc"] for error in issue({}, expect=422)["detail"]]
    assert missing == [["body", name] for name in FLAT_DRAFT]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"alias":"a","alias":"b"}', '"alias" occurs twice'),
        ('{"prompt_tokens":9007199254740992}', "beyond 2^53-1"),
        ('{"total_cost":1e400}', "JSON"),
        ('{"total_cost":NaN}', "JSON"),
        (
            '{"model":"m","id":"i","tokens":{"input":1,"output":1},"cost":{"amount":1,'
            '"calculation":""},"more":' + "[" * 300 + "]" * 300 + "}",
            "64 levels",
        ),
        ("[" * 100_000, "JSON"),
        ('{"alias":', "JSON"),
        ('{"alias":"\\ud800"}', "JSON"),
        ("[]", "dictionary"),
        ("5", "dictionary"),
        ("", "required"),
    ],
    ids=lambda value: value[:20],
)
def test_bad_bodies_are_refused(issue, body, reason):
    detail = issue(body, expect=422)["detail"]
    assert reason in str(detail)


def test_without_a_key_it_names_the_command_that_makes_one(api):
    detail = api.send("POST", ISSUE, vectors.flat(), expect=400)["detail"]
    assert "manage.py generatereceiptkey" in detail


def test_a_key_is_needed(anonymous, signing):
    anonymous.send("POST", ISSUE, vectors.flat(), expect=401)


def test_a_providers_usage_object_becomes_tokens_and_is_signed_as_it_came(api, signing):
    usage = {
        "input_tokens": 27,
        "cache_creation_input_tokens": 2000,
        "cache_read_input_tokens": 4000,
        "output_tokens": 210,
        "output_tokens_details": {"thinking_tokens": 150},
        "seconds": 0.25,
    }
    draft = {"provider": "anthropic", "model": "claude-opus-4-1", "usage": usage}
    receipt = api.send("POST", ISSUE, draft)
    assert receipt["usage"] == usage
    assert receipt["tokens"] == {
        "input": 6027,
        "output": 210,
        "cached_input": 4000,
        "cache_write": 2000,
        "thinking": 150,
    }
    assert api.send("POST", "/api/v1/receipts/verify", receipt)["valid"] is True


@pytest.mark.parametrize(
    "members, type, loc",
    [
        ({"usage": {"prompt_tokens": "5"}}, "int_type", ["usage", "prompt_tokens"]),
        ({"input_tokens": 5}, "missing", ["output_tokens"]),
        ({"id": "r"}, "missing", ["tokens"]),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_malformed_usage_is_refused_where_it_is(api, signing, members, type, loc, wrapped):
    draft = {"provider": "openai", "model": "gpt-4o-mini", **members}
    body = {"receipt": draft} if wrapped else draft
    (issue,) = api.send("POST", ISSUE, body, expect=422)["detail"]
    assert (issue["type"], issue["loc"]) == (
        type,
        ["body", *(["receipt"] if wrapped else []), *loc],
    )
