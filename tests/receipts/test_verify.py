"""`POST /receipts/verify`: public, with the reason why not."""

import json

import pytest

from tests.receipts import vectors

VERIFY = "/api/v1/receipts/verify"


@pytest.fixture
def verify(anonymous, signing):
    def verify(receipt, *, expect=200):
        return anonymous.send("POST", VERIFY, receipt, expect=expect)

    return verify


@pytest.mark.parametrize(
    "receipt", [vectors.signed_flat(), vectors.flat_as_sent(), vectors.signed_nested()]
)
def test_genuine_receipts_are_valid(verify, receipt):
    expected = {
        "receipt_id": receipt.get("id") or receipt["receipt_id"],
        "valid": True,
        "algorithm": "Ed25519",
        "key_id": "k-2025",
    }
    assert verify(receipt) == expected
    assert verify({"receipt": receipt}) == expected


@pytest.mark.parametrize(
    ("receipt", "reason"),
    [
        (vectors.signed_flat() | {"total_cost": 0}, "the signature does not match the document"),
        (vectors.flat(), "the signature is missing"),
        (vectors.flat() | {"signature": None}, "the signature is missing"),
        (vectors.signed_nested() | {"key_id": "x"}, "unknown key id 'x'"),
    ],
)
def test_others_are_invalid_and_the_reason_is_named(verify, receipt, reason):
    assert verify(receipt) == {
        "receipt_id": receipt.get("id") or receipt["receipt_id"],
        "valid": False,
        "algorithm": "Ed25519",
        "reason": reason,
    }


def test_missing_members_are_422(verify):
    receipt = vectors.signed_flat()
    del receipt["model"]
    (error,) = verify(receipt, expect=422)["detail"]
    assert (error["type"], error["loc"]) == ("missing", ["body", "model"])


@pytest.mark.parametrize(
    "body", ['{"id":1,"id":1}', "{", "[]", "null", '{"receipt":[]}', '{"a":1e999}']
)
def test_bad_bodies_are_422(verify, body):
    verify(body, expect=422)


def test_without_keys_nothing_is_valid(anonymous):
    reply = anonymous.send("POST", VERIFY, vectors.signed_flat())
    assert (reply["valid"], reply["reason"]) == (False, "no public key is configured")


def test_a_wrong_key_is_no_reason_to_refuse(anonymous, signing):
    """The route reads no key, so it cannot complain of one."""
    reply = anonymous.send("POST", VERIFY, vectors.signed_flat(), HTTP_X_API_KEY="no key at all")
    assert reply["valid"]


def test_batch_members_of_an_older_server_are_named(verify):
    forged = vectors.signed_flat() | {"receipt_type": "batch", "batch_summary": {}}
    assert "13 base members only" in verify(forged)["reason"]
    genuine = vectors.flat() | {"receipt_type": "batch", "batch_summary": {}}
    genuine["signature"] = vectors.signature_of(genuine)
    assert verify(genuine)["valid"]


@pytest.mark.slow
@pytest.mark.parametrize("path", [VERIFY, "/api/v1/receipts/issue", "/api/v1/receipts"])
def test_receipts_have_at_most_four_megabytes(api, signing, path):
    receipt = vectors.signed_nested()
    room = 4 * 1024 * 1024 - len(json.dumps(receipt | {"note": ""}))
    assert api.send("POST", VERIFY, receipt | {"note": "n" * room})["valid"] is False
    reply = api.send("POST", path, receipt | {"note": "n" * (room + 1)}, expect=413)
    assert reply == {"detail": "The body is larger than 4194304 bytes"}
