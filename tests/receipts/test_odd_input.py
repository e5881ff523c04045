"""Receipts with odd members, by chance but always the same: refused or taken, never a 500."""

import copy
import json
import random

import pytest

from receipts import signing as signatures
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
    for _ in range(chance.randrange(1, 4)):
        name = chance.choice([*body, *MEMBERS])
        holder = body
        if isinstance(body.get(name), dict) and chance.random() < 0.7:
            holder, name = body[name], chance.choice(PARTS)
        holder[name] = copy.deepcopy(chance.choice(ODD))
    if chance.random() < 0.3:
        try:
            body["signature"] = signatures.sign(body, vectors.KEY)
        except NotCanonical:
            body["signature"] = "x"
    return chance.choice([body, body, {"receipt": body}])


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
    assert all(receipt.is_verified for receipt in Receipt.objects.all())
    api.read("/api/v1/receipts")


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "offset=9" + "9" * 20, "limit=%00"])
@pytest.mark.parametrize("path", ["", "/uncertified", "/x/logs"])
def test_odd_queries_are_refused(api, path, query):
    assert api.get(f"/api/v1/receipts{path}?{query}").status_code in (404, 422)


@pytest.mark.parametrize("path", ["/%00", "/a%00/logs", "/%ff", f"/{'x' * 3000}", "/%F0%9F%98%80"])
def test_odd_ids_are_not_found(api, path):
    assert api.get(f"/api/v1/receipts{path}").status_code == 404
