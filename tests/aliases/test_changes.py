"""Polling for changes: `since`, `ETag`, and an order that misses none."""

from functools import partial

import pytest

from aliases.models import AliasBinding
from tests.aliases.test_aliases import MODEL, bind, bulk
from tests.client import ApiClient
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/v1/aliases/"


def changes(api, since, **query):
    rows = api.read(PATH, {"since": since, **query})
    return [(row["alias"], row["deleted"]) for row in rows]


def test_changes_since_a_revision_hold_removals(api):
    bind(api, "a")
    bind(api, "b")
    revision = api.get(PATH)["X-Alias-Revision"]
    assert revision == "2"
    assert changes(api, revision) == []
    api.send("DELETE", f"{PATH}a")
    bind(api, "c", profile="dev")
    assert changes(api, revision) == [("a", True), ("c", False)]
    assert changes(api, revision, profile="dev") == [("c", False)]
    assert changes(api, 0) == [("a", True), ("b", False), ("c", False)]


def test_changes_since_a_time_are_those_after_it(api):
    first = bind(api, "a")
    bind(api, "b")
    assert changes(api, first["updated_at"]) == [("b", False)]
    plus = first["updated_at"].replace("Z", "+00:00")
    rows = api.get(f"{PATH}?since={plus}").json()  # the plus sign unescaped
    assert [row["alias"] for row in rows] == ["b"]
    assert changes(api, "1999-01-01") == [("a", False), ("b", False)]


@pytest.mark.parametrize("since", ["yesterday", "-1", "9" * 30, "²"])
def test_bad_since_is_refused(api, since):
    error = api.read(PATH, {"since": since}, expect=422)["detail"][0]
    assert error["loc"] == ["query", "since"]


@pytest.mark.parametrize("path", [PATH, f"{PATH}?since=0", "/api/v1/aliases/export"])
def test_unchanged_aliases_are_304(api, path):
    bind(api, "a")
    etag = api.get(path)["ETag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = api.get(path, headers={"If-None-Match": sent})
        assert (response.status_code, response.content) == (304, b"")
        assert response["ETag"] == (sent if sent.startswith("W/") else etag)
        assert not {"content-type", "content-length"} & {name.lower() for name in response.headers}
    bind(api, "b")
    response = api.get(path, headers={"If-None-Match": etag})
    assert response.status_code == 200
    assert response["ETag"] != etag


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_304_has_the_headers_of_the_200(api, coding):
    """A cache replaces those that it has stored beside a body, which may be compressed."""
    aliases = [{"alias": f"a{number}", "model": f"p:{'m' * 200}"} for number in range(150)]
    api.send("POST", "/api/v1/aliases/bulk_upsert", aliases)
    sent = {"Accept-Encoding": coding}
    full = api.get(PATH, headers=sent)
    assert full.headers.get("Content-Encoding", "identity") == coding
    again = api.get(PATH, headers={**sent, "If-None-Match": full["ETag"]})
    assert again.status_code == 304
    for name in ("ETag", "Cache-Control"):
        assert again[name] == full[name]
    assert set(again["Vary"].split(", ")) == set(full["Vary"].split(", "))


@pytest.mark.django_db  # where every request looks its key up, which is the first query
def test_polling_is_one_query_and_tells_projects_apart(api, other_api, django_assert_num_queries):
    bind(api, "a")
    bind(other_api, "a")
    etag = api.get(PATH)["ETag"]
    assert other_api.get(PATH, headers={"If-None-Match": etag}).status_code == 200
    with django_assert_num_queries(1):
        assert api.get(PATH, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.django_db
def test_listing_takes_the_same_queries_for_many(api, django_assert_num_queries):
    bulk(api, [{"alias": f"a{n}", "model": MODEL} for n in range(500)])
    with django_assert_num_queries(1 + 2):
        assert len(api.read(PATH)) == 500


@pytest.mark.slow
def test_concurrent_changes_each_have_their_revision(api):
    def work(number):
        client = ApiClient(api.key)
        for turn in range(4):
            bind(client, f"own{number}")
            bulk(client, [{"alias": name, "model": f"p:{number}"} for name in "zyx"])
            client.send("DELETE", f"{PATH}own{number}")
            client.send("DELETE", f"{PATH}{'xyz'[turn % 3]}")

    at_once(*(partial(work, number) for number in range(8)))
    rows = list(AliasBinding.objects.order_by("revision").values_list("revision", "updated_at"))
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    revision = int(api.get(PATH)["X-Alias-Revision"])
    assert rows[-1][0] == revision
    assert 8 * 4 * 3 <= revision <= 8 * 4 * 4
