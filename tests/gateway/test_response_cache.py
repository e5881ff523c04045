"""Cached answers: docs/gateway.md, section "Cached answers"."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Project
from gateway import cache_policy, response_cache
from gateway.models import CachedAnswer
from tests.gateway.calls import within_a_second
from tests.gateway.conftest import Gateway
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    chat,
    content,
    exactly,
    head,
    in_turn,
    reply,
    stream,
)

PUBLIC = {"Cache_Control": "public, max-age=60"}
OPT_IN = {"Cache-Control": "public, max-age=60"}
MODELS = {"object": "list", "data": [{"id": "gpt-4o"}, {"id": "o3"}]}


def marks(answer) -> tuple[str | None, str | None]:
    return answer.headers.get("X-PROXY-CACHE"), answer.headers.get("Cache-Status")


STORED, HIT, NONE = ("stored", "llm-proxy; stored"), ("hit", "llm-proxy; hit"), (None, None)


@pytest.fixture
def stranger(gateway):
    """A client of another project."""
    return Gateway(gateway.url, Project.objects.create(name="stranger"))


def test_what_the_upstream_declares_public_is_fetched_once(gateway, mock):
    mock.script = reply(MODELS, **PUBLIC, X_Request_Id="of-the-first", Set_Cookie="a=b")
    first, second = gateway.get("/v1/models"), gateway.get("/v1/models")
    assert (marks(first), marks(second)) == (STORED, HIT)
    assert first.content == second.content and second.json() == MODELS
    assert second.headers["Cache-Control"] == "public, max-age=60"
    assert 0 <= int(second.headers["Age"]) <= 5 and "Age" not in first.headers
    assert "of-the-first" not in str(second.headers) and "Set-Cookie" not in second.headers
    assert len(mock.requests) == 1


def test_head_is_answered_from_what_get_has_left(gateway, mock):
    mock.script = reply(MODELS, **PUBLIC)
    assert marks(gateway.send("HEAD", "/v1/models")) == NONE  # it has no body to keep
    gateway.get("/v1/models")
    answer = gateway.send("HEAD", "/v1/models")
    assert (marks(answer), answer.content) == (HIT, b"")
    assert int(answer.headers["Content-Length"]) == len(json.dumps(MODELS))


def test_a_kept_list_still_shows_each_token_what_it_may_use(gateway, mock):
    mock.script = reply(MODELS, **PUBLIC)
    gateway.get("/v1/models")
    answer = gateway.use(allowed_models=["o*"]).get("/v1/models")
    assert (marks(answer), [each["id"] for each in answer.json()["data"]]) == (HIT, ["o3"])


def test_a_chat_is_kept_for_who_asks_for_it(gateway, mock):
    mock.script = reply(chat())
    first, second = (gateway.chat(headers=OPT_IN) for _ in range(2))
    assert (marks(first), marks(second)) == (STORED, HIT)
    assert first.content == second.content
    assert len(mock.requests) == len(gateway.rows) == 1  # what was not called costs nothing
    allowance = gateway.token_row.allowance
    allowance.refresh_from_db()
    assert (allowance.requests, allowance.cache_hits) == (1, 1)
    for other in ({"temperature": 0}, {"model": "gpt-4o"}):
        assert marks(gateway.chat(headers=OPT_IN, **other)) == STORED
    assert marks(gateway.chat()) == NONE  # without asking
    assert len(mock.requests) == len(gateway.rows) == 4


def test_nobody_sees_an_answer_of_another_project(gateway, stranger, mock):
    mock.script = in_turn(reply(chat(id="ours")), reply(chat(id="theirs")))
    for client, id in ((gateway, "ours"), (stranger, "theirs")):
        assert [client.chat(headers=OPT_IN).json()["id"] for _ in range(2)] == [id, id]
    assert len(mock.requests) == 2


@pytest.mark.parametrize("way", ["revoked", "archived", "restricted"])
def test_a_kept_answer_is_for_those_who_may_make_the_call(gateway, project, mock, way):
    mock.script = reply(chat())
    gateway.chat(headers=OPT_IN)
    if way == "revoked":
        type(gateway.token_row).objects.filter(id=gateway.token_row.id).revoke()
    elif way == "archived":
        Project.objects.filter(id=project.id).update(archived_at=timezone.now())
    else:
        gateway.use(allowed_models=["o3"])
    refusal = {"revoked": 401}.get(way, 403)
    within_a_second(lambda: gateway.chat(headers=OPT_IN).status_code == refusal)


def test_an_answer_is_not_kept_where_very_much_is_said_of_that(gateway, mock):
    mock.script = reply(MODELS, Cache_Control="public, max-age=60" + ", a=b" * 98)
    gateway.get("/v1/models")
    assert marks(gateway.get("/v1/models")) == HIT
    mock.script = reply({"data": []}, Cache_Control="public, max-age=60" + ", a=b" * 99)
    assert marks(gateway.get("/v1/models/o3")) == NONE
    many = {"Cache-Control": "max-age=60" + ", a=b" * 100}
    assert marks(gateway.get("/v1/models", headers=many)) == NONE


def test_an_answer_is_kept_for_the_upstream_key_that_got_it(gateway, own_key, mock):
    ours = {"object": "list", "data": [{"id": "ft:gpt-4o:ours"}]}
    mock.script = in_turn(reply(MODELS, **PUBLIC), reply(ours, **PUBLIC))
    assert gateway.get("/v1/models").json() == MODELS
    own_key()
    within_a_second(lambda: gateway.get("/v1/models").json() == ours)
    assert len(mock.requests) == 2


def test_a_token_without_requests_left_gets_what_is_kept(gateway, mock):
    mock.script = reply(chat())
    gateway.use(max_requests=1)
    assert gateway.chat(headers=OPT_IN).status_code == 200
    assert marks(gateway.chat(headers=OPT_IN)) == HIT
    assert gateway.chat().status_code == 429


def test_answers_that_vary_are_kept_for_each_variant(gateway, mock):
    mock.script = in_turn(
        *(reply({"data": [{"id": id}]}, Vary="X-Region, origin", **PUBLIC) for id in "abc")
    )

    def seen(region: str) -> str:
        return gateway.get("/v1/models", headers={"X-Region": region}).json()["data"][0]["id"]

    assert [seen("1"), seen("2"), seen("1"), seen("2")] == ["a", "b", "a", "b"]
    assert gateway.get("/v1/models").json()["data"][0]["id"] == "c"


@pytest.mark.parametrize("name", ["OpenAI-Organization", "OpenAI-Project", "Accept-Language"])
def test_what_decides_an_answer_need_not_be_named_by_vary(gateway, mock, name):
    mock.script = reply(MODELS, **PUBLIC)
    marked = [marks(gateway.get("/v1/models", headers={name: value})) for value in ("a", "b", "a")]
    assert marked == [STORED, STORED, HIT]


def test_a_client_that_wants_it_fresh_gets_it_fresh(gateway, mock):
    mock.script = in_turn(*(reply({"data": [{"id": id}]}, **PUBLIC) for id in "abcd"))

    def seen(**headers: str) -> str:
        return gateway.get("/v1/models", headers=headers).json()["data"][0]["id"]

    said = {"Cache-Control": "no-cache"}
    assert [seen(), seen(**said), seen()] == ["a", "b", "b"]  # and it is kept instead
    assert seen(**{"Cache-Control": "max-age=0"}) == "c"
    assert [seen(**{"Cache-Control": "no-store"}), seen()] == ["d", "c"]
    CachedAnswer.objects.update(stored_at=timezone.now() - timedelta(seconds=30))
    assert seen(**{"Cache-Control": "max-age=40"}) == "c"
    assert seen(**{"Cache-Control": "max-age=20"}) == "d"


@pytest.mark.parametrize(
    "script",
    [
        reply(chat(), Cache_Control="no-store"),
        reply(chat(), Cache_Control="private, max-age=60"),
        reply(chat(), Cache_Control="public, max-age=60, no-cache"),
        reply(chat(), Cache_Control="max-age=60"),  # it does not say that others may have it
        reply(chat(), Vary="*"),
        reply({"error": {"message": "slow down"}}, 429, **PUBLIC),
        reply({"error": {"message": "of a 200"}}, **PUBLIC),
        exactly(head(200, Content_Type="application/json", Content_Length="999", **PUBLIC) + b"{"),
        exactly(head(200, Content_Type="application/json") + json.dumps(chat()).encode()[:-2]),
        reply(b""),
        reply(b"<p>Down for maintenance</p>", Content_Type="text/html", **PUBLIC),
    ],
    ids=[
        *("no-store", "private", "no-cache", "not-public", "vary", "429", "error", "broken-off"),
        *("cut-without-a-length", "empty", "no-json"),
    ],
)
def test_what_is_not_kept(gateway, mock, script):
    mock.script = script
    with suppress(OSError):  # a transfer that breaks off
        assert marks(gateway.chat(headers=OPT_IN)) == NONE
    assert not CachedAnswer.objects.exists()


def test_streams_are_neither_kept_nor_answered_from_what_is(gateway, mock):
    mock.script = reply(chat())
    gateway.chat(headers=OPT_IN)
    mock.script = stream(content("Hi"), USAGE_CHUNK, DONE, **PUBLIC)
    for _ in range(2):
        answer = gateway.chat(stream=True, headers=OPT_IN)
        assert answer.content.endswith(DONE) and marks(answer) == NONE
    assert CachedAnswer.objects.count() == 1 and len(mock.requests) == 3


def test_objects_that_lie_upstream_are_read_there(gateway, own_key, mock):
    own_key()
    mock.script = reply({"id": "file-1", "object": "file"}, **PUBLIC)
    for _ in range(2):
        assert marks(gateway.get("/v1/files/file-1")) == NONE
    assert len(mock.requests) == 2


def test_an_answer_of_any_age_arrives(gateway, mock):
    """Ages are counted up to 2^31 (RFC 9111, section 1.2.2), as columns hold them."""
    mock.script = reply(chat(), Cache_Control="public, max-age=9999999999", Age="5000000000")
    assert gateway.chat(headers=OPT_IN).status_code == 200
    assert gateway.row.usage_status == "settled" and not CachedAnswer.objects.exists()
    mock.script = reply(chat(), Cache_Control="public, max-age=9999999999", Age="2000000000")
    assert marks(gateway.chat(headers=OPT_IN)) == STORED
    assert int(gateway.chat(headers=OPT_IN).headers["Age"]) >= 2_000_000_000


@pytest.mark.parametrize("seconds", ["99999999999", "9" * 5_000, "00000000060"])
def test_an_answer_is_kept_for_as_long_as_a_number_says(gateway, mock, seconds):
    mock.script = reply(chat())
    asked = {"Cache-Control": f"public, max-age={seconds}"}
    assert [marks(gateway.chat(headers=asked)) for _ in range(2)] == [STORED, HIT]
    row = CachedAnswer.objects.get()
    lifetime = timedelta(minutes=1) if seconds.startswith("0") else timedelta(days=7)
    assert row.expires_at - row.stored_at == lifetime


def test_large_answers_are_not_kept(gateway, mock, settings):
    settings.GATEWAY_CACHE_MAX_OBJECT_BYTES = 50
    mock.script = reply(MODELS, **PUBLIC)
    assert len(gateway.get("/v1/models").content) > 50
    assert not CachedAnswer.objects.exists()


def test_a_cache_that_is_off_keeps_and_gives_nothing(gateway, mock, settings):
    mock.script = reply(MODELS, **PUBLIC)
    gateway.get("/v1/models")
    settings.GATEWAY_CACHE = False
    assert marks(gateway.get("/v1/models")) == NONE and len(mock.requests) == 2


def test_what_is_over_is_fetched_again_and_swept(gateway, mock):
    mock.script = reply(MODELS, **PUBLIC)
    gateway.get("/v1/models")
    gateway.get("/v1/models/gpt-4o")
    row = CachedAnswer.objects.get(url="/v1/models")
    assert row.expires_at - row.stored_at == timedelta(seconds=60)
    CachedAnswer.objects.filter(id=row.id).update(expires_at=timezone.now())
    response_cache.sweep()
    assert [each.url for each in CachedAnswer.objects.all()] == ["/v1/models/gpt-4o"]
    assert marks(gateway.get("/v1/models")) == STORED


def test_the_oldest_answers_make_room(gateway, mock, settings):
    settings.GATEWAY_CACHE_MEGABYTES = 1
    # 0.4 MiB each: two of them fit, and each eighth of the room is a reason to look.
    mock.script = reply({"data": [], "text": "x" * 400_000}, **PUBLIC)
    for model in "abc":
        gateway.get(f"/v1/models/{model}")
    kept = CachedAnswer.objects.order_by("stored_at").values_list("url", flat=True)
    assert [*kept] == ["/v1/models/b", "/v1/models/c"]


@pytest.mark.parametrize(
    ("headers", "asked", "seconds"),
    [
        ({"cache-control": "public, max-age=60"}, 0, 60),
        ({"cache-control": "Public , MAX-AGE = 60"}, 0, 60),
        ({"cache-control": "public, max-age=60, s-maxage=5"}, 0, 5),
        ({"cache-control": "s-maxage=5"}, 900, 5),
        ({"cache-control": "public"}, 0, 300),  # HTTP_CACHE_DEFAULT_TTL
        ({"cache-control": "public, max-age=60", "age": "50"}, 0, 10),
        ({"cache-control": "public, max-age=60", "age": "70"}, 0, 0),
        ({"cache-control": "public, max-age=0"}, 900, 0),
        ({"cache-control": "public, max-age=99999999"}, 0, 604_800),  # a week at most
        ({"cache-control": "public, max-age=99999999999"}, 0, 604_800),
        ({"cache-control": "public, max-age=60", "age": "99999999999"}, 0, 0),
        ({"cache-control": "public, max-age=0000000000060"}, 0, 60),
        ({"cache-control": "public, max-age=²"}, 0, 300),
        ({"cache-control": "public, max-age=60, private=x"}, 0, 0),
        ({"cache-control": "max-age=60"}, 900, 0),
        ({}, 900, 900),
        ({"vary": "*"}, 900, 0),
        ({"vary": "Accept, *", "cache-control": "public, max-age=60"}, 0, 0),
    ],
)
def test_lifetimes(headers, asked, seconds):
    assert cache_policy.lifetime(headers, asked=asked) == seconds


PURGE = "/manage/cache/purge"


@pytest.fixture
def kept(gateway, stranger, mock):
    """Two models of one project, one of another, and a chat."""
    mock.script = reply(MODELS, **PUBLIC)
    for client, path in ((gateway, "a"), (gateway, "a?b=c"), (stranger, "a"), (gateway, "d")):
        client.get(f"/v1/models/{path}")
    mock.script = reply(chat())
    gateway.chat(headers=OPT_IN)
    return lambda: sorted(CachedAnswer.objects.values_list("url", flat=True))


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("body", "deleted", "left"),
    [
        (
            {"method": "GET", "url": "/v1/models/a"},
            True,
            [CHAT, "/v1/models/a?b=c", "/v1/models/d"],
        ),
        (
            {"method": "get", "url": "https://llm.example.org/v1/models/a?b=c"},
            True,
            [CHAT, "/v1/models/a", "/v1/models/a", "/v1/models/d"],
        ),
        ({"method": "GET", "url": "/", "prefix": "/v1/models"}, 4, [CHAT]),
        (
            {"method": "POST", "url": CHAT},
            True,
            ["/v1/models/a", "/v1/models/a", "/v1/models/a?b=c", "/v1/models/d"],
        ),
    ],
)
def test_purging_removes_the_answers(kept, manager, body, deleted, left):
    assert manager.send("POST", PURGE, body) == {"deleted": deleted}
    assert kept() == left
    assert AuditEvent.objects.get(action="cache.purge").details["deleted"] == deleted
    assert manager.send("POST", PURGE, body) == {"deleted": 0 if "prefix" in body else False}


@pytest.mark.parametrize("purged", ["/v1/models", "/v1//models/", "/v1/mo%64els"])
def test_an_address_is_purged_however_it_is_written(gateway, mock, manager, purged):
    mock.script = reply(MODELS, **PUBLIC)
    gateway.get("/v1//models/")
    assert marks(gateway.get("/v1/models")) == HIT
    assert manager.send("POST", PURGE, {"method": "GET", "url": purged}) == {"deleted": True}
    assert marks(gateway.get("/v1/models")) == STORED


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"method": "GET"},
        {"method": "GET", "url": ""},
        {"method": "GET", "url": "models"},
        {"method": "GET", "url": "http://["},
        {"method": "GET", "url": "https://llm.example.org"},
        {"method": "DELETE", "url": "/v1/models"},
        {"method": "GET", "url": "/v1/models", "prefix": "\0"},
        {"method": 1, "url": 2},
        [],
    ],
)
def test_what_cannot_be_purged(kept, manager, body):
    reply = manager.send("POST", PURGE, body, expect=400)
    assert reply["error"]
    assert len(kept()) == 5


def test_purging_is_refused_where_nothing_is_kept(manager, settings):
    settings.GATEWAY_CACHE = False
    body = {"method": "GET", "url": "/v1/models"}
    assert manager.send("POST", PURGE, body, expect=400)["error"].startswith("caching is disabled")


def test_strangers_purge_nothing(kept, api, anonymous, settings):
    settings.MANAGEMENT_TOKEN = "correct-horse-battery-staple"
    body = {"method": "GET", "url": "/", "prefix": "/"}
    for client in (api, anonymous):
        client.send("POST", PURGE, body, expect=401)
    assert len(kept()) == 5
