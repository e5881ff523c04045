"""Storing, reading and listing: one document for one id of a project, verbatim, for good."""

import pytest

from receipts import verification
from receipts.documents import canonical
from receipts.models import Receipt
from tests.receipts import vectors

RECEIPTS = "/api/v1/receipts"
pytestmark = pytest.mark.usefixtures("signing")


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(
    "receipt",
    [vectors.signed_flat(), vectors.flat_as_sent(), vectors.signed_nested()],
    ids=["flat", "flat as the older server sent it", "nested"],
)
def test_signed_receipts_are_verified_stored_and_returned_verbatim(api, receipt, wrapped):
    id = receipt.get("id") or receipt["receipt_id"]
    body = {"receipt": receipt} if wrapped else receipt
    assert api.send("POST", RECEIPTS, body) == {
        "receipt_id": id,
        "status": "verified",
        "signature": receipt["signature"],
    }
    assert api.get(f"{RECEIPTS}/{id}").content == canonical(receipt)
    listed = api.read(f"{RECEIPTS}/")
    assert listed == {"receipts": [receipt], "total": 1, "limit": 100, "offset": 0}
    row = Receipt.objects.get()
    assert row.project_id == api.project.id and row.api_key_id == api.api_key_id
    assert row.document.encode() == canonical(receipt) and row.is_verified


def test_columns_of_the_nested_form(api):
    api.send("POST", RECEIPTS, vectors.signed_nested())
    row = Receipt.objects.get()
    assert (row.form, row.receipt_type, row.key_id) == ("nested", "single", "k-2025")
    assert (row.total_tokens, str(row.total_cost)) == (1500, "0.000330000000")
    assert row.timestamp.isoformat() == "2025-01-02T03:04:05+00:00"


def test_unsigned_receipts_are_signed_stored_and_returned(api):
    reply = api.send("POST", RECEIPTS, vectors.flat())
    assert reply == {
        "receipt_id": "rcpt_0123456789abcdef",
        "status": "issued",
        "signature": vectors.FLAT_SIGNATURE,
    }
    assert api.read(f"{RECEIPTS}/rcpt_0123456789abcdef") == vectors.signed_flat()


def test_usage_details_become_a_nested_receipt(api):
    details = {"model": "gpt-4o-mini", "input_tokens": 100, "output_tokens": 50, "cost": 0.001}
    reply = api.send("POST", RECEIPTS, details)
    receipt = api.read(f"{RECEIPTS}/{reply['receipt_id']}")
    verification.verify(receipt, [vectors.KEY.public])
    assert receipt["tokens"] == {"input": 100, "output": 50, "cached_input": 0}
    assert receipt["cost"]["amount"] == 0.001
    assert receipt["cost"]["calculation"].startswith("stated by the caller")


@pytest.mark.parametrize("id", ["uncertified", "verify", "public-keys.json", "a/logs", "a/"])
def test_ids_that_could_not_be_read_are_refused(api, id):
    drafts = {
        "id": {**vectors.nested(), "id": id},
        "receipt_id": vectors.flat() | {"receipt_id": id},
    }
    for member, draft in drafts.items():
        for path in (RECEIPTS, f"{RECEIPTS}/issue"):
            [issue] = api.send("POST", path, draft, expect=422)["detail"]
            assert (issue["loc"], issue["type"]) == (["body", member], "reserved")
    readable = {**vectors.nested(), "id": "logs/uncertified"}
    assert api.send("POST", RECEIPTS, readable)["status"] == "issued"
    assert api.read(f"{RECEIPTS}/logs/uncertified")["id"] == "logs/uncertified"


def test_the_same_document_twice_is_one_receipt(api):
    first = api.send("POST", RECEIPTS, vectors.signed_nested())
    assert api.send("POST", RECEIPTS, vectors.signed_nested()) == first
    # Unsigned it is completed anew, and still states the same.
    assert api.send("POST", RECEIPTS, vectors.nested()) == {**first, "status": "issued"}
    assert Receipt.objects.count() == 1


def test_a_retry_without_timestamp_finds_the_first(api):
    draft = {name: value for name, value in vectors.nested().items() if name != "timestamp"}
    assert api.send("POST", RECEIPTS, draft) == api.send("POST", RECEIPTS, draft)


def test_a_different_document_under_the_same_id_is_409(api):
    api.send("POST", RECEIPTS, vectors.signed_nested())
    for other in (vectors.nested() | {"model": "x"}, vectors.nested() | {"more": 1}):
        signed = other | {"signature": vectors.signature_of(other)}
        detail = api.send("POST", RECEIPTS, signed, expect=409)["detail"]
        assert detail == "A different receipt with this id is stored already"
        api.send("POST", RECEIPTS, other, expect=409)
    assert api.read(f"{RECEIPTS}/rcpt-demo-1") == vectors.signed_nested()


def test_ids_are_unique_in_a_project_not_beyond(api, other_api):
    api.send("POST", RECEIPTS, vectors.signed_nested())
    other = vectors.nested() | {"model": "x"}
    other_api.send("POST", RECEIPTS, other | {"signature": vectors.signature_of(other)})
    assert other_api.read(f"{RECEIPTS}/rcpt-demo-1")["model"] == "x"
    assert api.read(f"{RECEIPTS}/rcpt-demo-1") == vectors.signed_nested()


def test_strangers_receipts_are_not_found(api, other_api):
    api.send("POST", RECEIPTS, vectors.signed_nested())
    assert other_api.read(f"{RECEIPTS}/rcpt-demo-1", expect=404) == {"detail": "Receipt not found"}
    assert other_api.read(f"{RECEIPTS}/none", expect=404) == {"detail": "Receipt not found"}
    detail = {"detail": "Receipt not found or access denied"}
    assert other_api.read(f"{RECEIPTS}/rcpt-demo-1/logs", expect=404) == detail
    assert other_api.read(RECEIPTS)["total"] == 0


@pytest.mark.parametrize(
    ("receipt", "detail"),
    [
        (vectors.signed_flat() | {"model": "x"}, "Invalid receipt signature"),
        (
            vectors.signed_nested() | {"key_id": "x"},
            "Invalid receipt signature: unknown key id 'x'",
        ),
        (
            vectors.flat() | {"signature": vectors.FLAT_SIGNATURE[:-2]},
            "Invalid receipt signature: the signature is not ed25519: and 86 characters of "
            "base64url (64 bytes)",
        ),
        (
            vectors.flat() | {"signature": ""},
            "Invalid receipt signature: the signature does not begin with ed25519:",
        ),
        (vectors.signed_flat() | {"tags": []}, None),
    ],
)
def test_bad_signatures_are_refused_and_nothing_is_stored(api, receipt, detail):
    message = api.send("POST", RECEIPTS, receipt, expect=400)["detail"]
    assert message == detail or (detail is None and "13 base members" in message)
    assert not Receipt.objects.exists()


def test_without_keys_signed_receipts_are_refused(api, settings):
    settings.RECEIPTS_PRIVATE_KEY = settings.RECEIPTS_PUBLIC_KEY = ""
    detail = api.send("POST", RECEIPTS, vectors.signed_flat(), expect=400)["detail"]
    assert detail == "Invalid receipt signature: no public key is configured"
    api.send("POST", RECEIPTS, vectors.flat(), expect=400)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ["body", "receipt"]),
        ({"receipt": 5}, ["body", "receipt"]),
        ({"receipt": {"signature": "x"}}, ["body", "receipt", "receipt_id"]),
        ({"receipt": vectors.signed_flat() | {"total_cost": True, "timestamp": 5}}, None),
        ([vectors.signed_flat()], ["body"]),
        (vectors.signed_flat() | {"receipt_id": ""}, ["body", "receipt_id"]),
        (vectors.signed_flat() | {"receipt_id": "\x00"}, ["body", "receipt_id"]),
        (vectors.signed_flat() | {"receipt_type": "x"}, ["body", "receipt_type"]),
        (vectors.signed_nested() | {"alias": 5}, ["body", "alias"]),
    ],
)
def test_malformed_receipts_are_refused(api, body, place):
    error = api.send("POST", RECEIPTS, body, expect=422)["detail"][0]
    assert place is None or error["loc"] == place


def test_genuine_oddities_are_stored(api):
    """Whatever a known key signed is a receipt: negative costs of the older server, odd types."""
    odd = vectors.nested() | {
        "id": "a/b c%/logs?é",
        "cost": {"amount": "-1e-30", "calculation": None},
        "tokens": {"input": -5, "output": 2**53 - 1},
        "timestamp": "2025-01-02 03:04:05.5+02:00",
        "more": "\x00",
    }
    odd["signature"] = vectors.signature_of(odd)
    api.send("POST", RECEIPTS, odd)
    assert api.read(RECEIPTS)["receipts"] == [odd]
    assert api.read(f"{RECEIPTS}/a%2Fb%20c%25%2Flogs%3F%C3%A9") == odd


def test_pages_are_newest_first(api):
    for day in (2, 1, 3):
        receipt = vectors.nested() | {"id": f"r{day}", "timestamp": f"2025-01-0{day}T00:00:00Z"}
        api.send("POST", RECEIPTS, receipt)

    def page(query):
        return [receipt["id"] for receipt in api.read(RECEIPTS, query)["receipts"]]

    assert page({}) == ["r3", "r2", "r1"]
    assert page({"limit": 1, "offset": 1}) == ["r2"]
    assert api.read(RECEIPTS, {"limit": "10000", "offset": ""})["limit"] == 1000
    api.read(RECEIPTS, {"limit": "0"}, expect=422)
    api.read(RECEIPTS, {"offset": "-1"}, expect=422)


def test_a_key_is_needed(anonymous):
    anonymous.send("POST", RECEIPTS, vectors.signed_flat(), expect=401)
    for path in ("", "/x", "/x/logs", "/uncertified"):
        anonymous.read(f"{RECEIPTS}{path}", expect=401)
    for path in ("/generate", "/preview", "/issue"):
        anonymous.send("POST", f"{RECEIPTS}{path}", {}, expect=401)


def test_other_verbs_are_405(api):
    for method, path in (("DELETE", "/x"), ("PUT", ""), ("GET", "/issue"), ("POST", "/x")):
        api.send(method, f"{RECEIPTS}{path}", expect=405)
