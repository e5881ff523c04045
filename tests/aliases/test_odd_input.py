"""Bodies at the edges of JSON: refused with 4xx, or kept exactly."""

import json

import pytest

from aliases.models import AliasBinding
from tests import odd_bodies
from tests.aliases.test_aliases import MODEL, bind

ALIASES = "/api/v1/aliases"
VALID = {"alias": "a", "model": MODEL, "metadata": {}}
REFUSED = odd_bodies.refused(VALID, "model", "metadata")
DIGITS = pytest.mark.parametrize("digits", odd_bodies.EXACT.values(), ids=odd_bodies.EXACT.keys())


@pytest.mark.parametrize(("body", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_odd_body_is_refused_on_every_route_that_takes_one(api, body, status):
    bind(api, "before")
    api.send("POST", f"{ALIASES}/bind", body, expect=status)
    api.send("PUT", f"{ALIASES}/before", body, expect=status)
    if body.strip():  # no body is an empty list
        api.send("POST", f"{ALIASES}/bulk_upsert", b"[" + body + b"]", expect=status)
    assert AliasBinding.objects.get().model == MODEL


@DIGITS
def test_numbers_in_metadata_keep_all_digits(api, digits):
    expected = f'"metadata":{{"n":{digits}}}'
    body = odd_bodies.exact(VALID, "metadata", digits)
    for method, path, sent in (
        ("POST", "bind", body),
        ("PUT", "a", body),
        ("POST", "bulk_upsert", b"[" + body + b"]"),
    ):
        AliasBinding.objects.all().delete()
        response = api.generic(method, f"{ALIASES}/{path}", sent, "application/json")
        assert response.status_code == 200
        assert expected in api.get(f"{ALIASES}/a").content.decode()


@DIGITS
def test_numbers_in_constraints_keep_all_digits_in_the_lockfile(api, digits):
    raw = odd_bodies.exact({"alias": "a", "model": MODEL}, "metadata", digits).decode()
    body = raw.replace(f'{{"n": {digits}}}', f'{{"constraints": {{"n": {digits}}}}}')
    api.send("POST", f"{ALIASES}/bind", body)
    assert f'"n":{digits}' in api.get(f"{ALIASES}/export").content.decode()
    assert f"n = {digits}" in api.get(f"{ALIASES}/export?format=toml").content.decode()


def test_last_of_two_members_counts(api):
    api.send("POST", f"{ALIASES}/bind", odd_bodies.repeated(VALID, "model"))
    assert api.read(f"{ALIASES}/a")["model"] == MODEL


@pytest.mark.parametrize(
    "query",
    [
        "profile=%00",
        "profile=" + "x" * 65,
        "alias=a&profile=%00",
        "since=%00",
        "since=" + "9" * 5000,
        "since=2026-13-01",
        "since=9999-12-31T23:59:59-23:59",
        "format=%00",
        "%ff=%fe",
        "alias=%00",
    ],
)
def test_odd_queries_never_fail(api, query):
    for path in ("", "/a", "/resolve", "/export"):
        assert api.get(f"{ALIASES}{path}?{query}").status_code in (200, 304, 404, 422)
    assert api.generic("DELETE", f"{ALIASES}/a?{query}").status_code in (200, 422)


@pytest.mark.parametrize("body", [b"{}", b'"a"', b"1", b"true", b'{"items": []}'])
def test_bulk_takes_a_list_only(api, body):
    error = api.send("POST", f"{ALIASES}/bulk_upsert", body, expect=422)["detail"][0]
    assert (error["type"], error["loc"]) == ("list_type", ["body"])


def test_bulk_is_bounded(api):
    items = json.dumps([{"alias": f"a{n}", "model": MODEL} for n in range(10_001)])
    error = api.send("POST", f"{ALIASES}/bulk_upsert", items, expect=422)["detail"][0]
    assert (error["type"], error["loc"]) == ("too_long", ["body"])
    assert not AliasBinding.objects.exists()


def test_other_verbs_are_refused(api):
    for method, path in (("POST", ""), ("PATCH", "/a"), ("GET", "/bind"), ("PUT", "/export")):
        assert api.generic(method, f"{ALIASES}{path}").status_code in (404, 405, 422)
