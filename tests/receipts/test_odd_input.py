"""Receipts with odd members, by chance but always the same: refused or taken, never a 500."""

import copy
import json
import random

import pytest

from receipts.documents import NotCanonical
from receipts.models import Receipt
from tests.receipts import vectors

DEEP = []
for _ in range(300):
    DEEP = [DEEP]
ODD = [
    *(None, True, 0, -1, 1.5, 2**53, 1e300, 1e-300, "", "x", "\x00", "é" * 300, "\ud800"),
    *("2026-01-02T03:04:05Z", "0001-01-01", "9999-12-31T23:59:59.999999-23:59", "NaN", "1e400"),
    *([], {}, [[]], [None], {"": {}}, {"a": "\x00"}, DEEP),
]
BODIES = [
    vectors.signed_flat(),
    vectors.signed_nested(),
    vectors.flat(),
    vectors.nested(),
    {"model": "m", "input_tokens": 1, "output_tokens": 2, "cost": 1},
    {"since_last_receipt": True, "description": "d", "tags": ["t"]},
    {"start_date": "2026-01-01", "end_date": "2026-01-02"},
    {"log_ids": ["0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"]},
]
MEMBERS = ["tokens", "cost", "signature", "key_id", "receipt", "id", "receipt_type"]
PARTS = ["amount", "input", "calculation", "cached_input"]


def odd(chance: random.Random):
    body = copy.deepcopy(chance.choice(BODIES))
    for _ in range(chance.choice([0, 1, 2, 3])):
        name = chance.choice([*body, *MEMBERS])
        holder = body
        if isinstance(body.get(name), dict) and chance.random() < 0.7:
            holder, name = body[name], chance.choice(PARTS)
        holder[name] = copy.deepcopy(chance.choice(ODD))
    if chance.random() < 0.3:
        try:
            body["signature"] = vectors.signature_of(body)
        except NotCanonical:
            body["signature"] = "x"
    return chance.choice([body, body, {"receipt": body}])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_odd_bodies_never_fail(api, signing, seed):
    chance = random.Random(seed)
    api.raise_request_exception = False
    api.send("POST", "/api/v1/receipts/issue", vectors.flat())
    for _ in range(150):
        body = json.dumps(odd(chance))
        route = chance.choice(["", "/issue", "/verify", "/generate", "/preview"])
        extra = chance.choice([{}, {"HTTP_ORIGIN": "http://localhost:5173"}])
        path = f"/api/v1/receipts{route}"
        reply = api.generic("POST", path, body, content_type="application/json", **extra)
        assert reply.status_code < 500, (route, body[:1000])
    stored = Receipt.objects.all()
    assert stored and all(receipt.is_verified for receipt in stored)
    api.read("/api/v1/receipts")


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "offset=9" + "9" * 20, "limit=%00"])
@pytest.mark.parametrize("path", ["", "/uncertified", "/x/logs"])
def test_odd_queries_are_refused(api, path, query):
    assert api.get(f"/api/v1/receipts{path}?{query}").status_code in (404, 422)


@pytest.mark.parametrize("path", ["/%00", "/a%00/logs", "/%ff", f"/{'x' * 3000}", "/%F0%9F%98%80"])
def test_odd_ids_are_not_found(api, path):
    assert api.get(f"/api/v1/receipts{path}").status_code == 404


FLAT = json.dumps(vectors.flat())
NESTED = json.dumps(vectors.nested())
ODD_TEXTS = {
    "NUL in a text": (NESTED.replace('"fast"', '"\\u0000"'), 422),
    "lone surrogate": (NESTED.replace('"fast"', '"\\ud800"'), 422),
    "lone surrogate in an unknown member": (NESTED.replace("{", '{"x":"\\udfff",', 1), 422),
    "NaN": (FLAT.replace("0.003", "NaN"), 422),
    "infinity": (FLAT.replace("0.003", "1e999"), 422),
    "nothing but zero": (FLAT.replace("0.003", "1e-999"), 422),
    "depth": (NESTED.replace("{", '{"x":' + "[" * 70 + "]" * 70 + ",", 1), 422),
    "endless depth": ("[" * 100_000, 422),
    "2^53": (FLAT.replace("15", "9007199254740992"), 422),
    "2^53 in an unknown member": (NESTED.replace("{", '{"x":9007199254740992,', 1), 422),
    "2^64": (NESTED.replace("{", '{"x":18446744073709551616,', 1), 422),
    "digits without end": (NESTED.replace("{", '{"x":' + "1" * 5000 + ",", 1), 422),
    "duplicate member": (FLAT.replace("{", '{"model":"x",', 1), 422),
    "duplicate member below": (NESTED.replace('"input"', '"output"'), 422),
    "21 digits": (FLAT.replace("0.003", "0.123456789012345678901"), 422),
    "21 digits in an unknown member": (
        NESTED.replace("{", '{"x":0.123456789012345678901,', 1),
        422,
    ),
    "not UTF-8": (FLAT.replace("openai", "open\xff").encode("latin-1"), 400),
    "UTF-16": (FLAT.encode("utf-16"), 400),
    "byte order mark": (b"\xef\xbb\xbf" + FLAT.encode(), 422),
    "empty": ("", 422),
}


@pytest.mark.parametrize("edge", [True, False], ids=["edge", "view"])
@pytest.mark.parametrize("route", ["", "/issue", "/verify"])
@pytest.mark.parametrize(("body", "status"), ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_texts_with_more_than_one_meaning_are_refused(api, signing, route, body, status, edge):
    api.send("POST", "/api/v1/receipts/issue", vectors.flat())  # fills the caches of the edge
    extra = {} if edge else {"HTTP_ORIGIN": "http://localhost:5173"}
    api.send("POST", f"/api/v1/receipts{route}", body, expect=status, **extra)
    assert not Receipt.objects.exists()


@pytest.mark.parametrize("route", ["", "/issue"])
def test_amounts_of_the_flat_form_are_numbers_that_keep_their_digits(api, signing, route):
    for amount in ("0.123456789012345678901", "1e-400", "９"):
        draft = vectors.flat() | {"total_cost": amount}
        (error,) = api.send("POST", f"/api/v1/receipts{route}", draft, expect=422)["detail"]
        assert error["loc"] == ["body", "total_cost"]


@pytest.mark.parametrize("route", ["/generate", "/preview"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"description":"\\u0000"}', 422),
        ('{"description":"\\ud800"}', 422),
        ('{"tags":[NaN]}', 422),
        ('{"tags":' + "[" * 70 + "]" * 70 + "}", 422),
        ('{"since_last_receipt":18446744073709551616}', 422),
        ('{"since_last_receipt":true,"since_last_receipt":true}', 422),
        (b'{"description":"\xff"}', 400),
        (b"\xef\xbb\xbf{}", 422),
        ("", 422),
    ],
)
def test_odd_generation_requests_are_refused(api, signing, route, body, status):
    api.send("POST", f"/api/v1/receipts{route}", body, expect=status)


@pytest.mark.parametrize(
    "amount",
    [
        "1_000",
        "１２",
        "0e999999999",
        "1e-999",
        "+1",
        ".5",
        "5.",
        "00.5",
        "0x10",
        "1,5",
        "",
        " ",
        "٣",
    ],
)
@pytest.mark.parametrize("route", ["", "/issue"])
def test_amounts_that_readers_take_for_different_numbers_are_refused(api, signing, route, amount):
    draft = vectors.nested() | {"cost": {"amount": amount, "calculation": "mine"}}
    (error,) = api.send("POST", f"/api/v1/receipts{route}", draft, expect=422)["detail"]
    assert error["loc"] == ["body", "cost", "amount"]


def test_amounts_keep_all_their_digits(api, signing):
    for amount in ("0.123456789012345678901", "1e-30", "0.10", 0.1, 7, 1e-7, 123456.789012345):
        draft = vectors.nested() | {"cost": {"amount": amount, "calculation": "mine"}}
        reply = api.generic(
            "POST", "/api/v1/receipts/issue", json.dumps(draft), content_type="application/json"
        )
        assert json.loads(reply.content)["cost"]["amount"] == amount
