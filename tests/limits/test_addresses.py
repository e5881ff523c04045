"""Whose address requests without a project count for: D05, D08 (docs/limits.md)."""

from ipaddress import ip_network

import pytest

from accounts.models import Project, Tier
from tests.limits.test_requests import HEADERS, standing
from tests.usage.calls import CALL

pytestmark = pytest.mark.usefixtures("store", "clock")

REGISTRY, DOCS, LOG = "/registry.json", "/", "/api/v1/log"
PROXY = "10.0.0.1"


@pytest.fixture(autouse=True)
def _settings(settings):
    settings.PUBLIC_REQUESTS_PER_MINUTE = 20
    settings.TRUSTED_PROXIES = []


@pytest.fixture(params=[0, 1, 2])
def proxies(request, settings):
    """How many proxies are trusted."""
    chosen = [ip_network("10.0.0.1/32"), ip_network("10.0.0.2/32")][: request.param]
    settings.TRUSTED_PROXIES = chosen
    return request.param


def come(anonymous, forwarded: str | None = None, *, peer: str = PROXY, path: str = DOCS):
    extra = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return anonymous.get(path, REMOTE_ADDR=peer, **extra)


def left(*arguments, **keywords) -> int:
    return standing(come(*arguments, **keywords))[1]


@pytest.mark.parametrize("path", [DOCS, "/openapi.json", "/registry/changelog", REGISTRY])
def test_d08_public_routes_are_limited_by_address_on_every_lane(anonymous, settings, path):
    settings.PUBLIC_REQUESTS_PER_MINUTE = 5
    statuses = [come(anonymous, path=path).status_code for _ in range(6)]
    assert statuses[-1] == 429 and 429 not in statuses[:-1]
    refused = come(anonymous, path=path)
    assert "requests per minute from your address" in refused.json()["detail"]
    assert 45 <= int(refused.headers["Retry-After"]) <= 50  # 12:00:10, and what the test took
    assert come(anonymous, path=path, peer="192.0.2.1").status_code != 429


def test_d08_without_limit_nothing_is_counted(anonymous, settings):
    settings.PUBLIC_REQUESTS_PER_MINUTE = 0
    for path in (DOCS, REGISTRY):
        assert not set(HEADERS) & set(come(anonymous, path=path).headers)


@pytest.mark.parametrize(
    "forwarded",
    ["1.1.1.1", "6.6.6.6, 192.0.2.7", ", ".join(f"1.1.1.{n}" for n in range(40)), "unknown", ""],
)
def test_d08_nobody_is_believed_without_trusted_proxies(anonymous, forwarded):
    assert [left(anonymous, forwarded), left(anonymous, "2.2.2.2")] == [19, 18]


@pytest.mark.parametrize(
    ("forwarded", "same"),
    [
        ("192.0.2.7", "6.6.6.6, 192.0.2.7"),  # rotating the left part gains nothing
        ("192.0.2.7", ", ".join([*(f"1.1.1.{n}" for n in range(40)), "192.0.2.7"])),
        ("192.0.2.7", "192.0.2.7:51515"),
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("192.0.2.7", "::ffff:c000:207"),
        ("2001:db8::1", "[2001:db8::1]:443"),
        ("2001:db8::1", "2001:db8::ffff:1"),  # of one /64
        ("unknown", ""),
        ("unknown", "x" * 5000),
    ],
)
def test_d08_spellings_of_one_client_are_one_bucket(anonymous, settings, forwarded, same):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.1/32")]
    assert [left(anonymous, forwarded), left(anonymous, same)] == [19, 18]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.7", "192.0.2.8"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("2001:db8:0:1::1", "2001:db8:0:2::1"),
    ],
)
def test_d08_other_clients_have_other_buckets(anonymous, settings, one, other):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.1/32")]
    assert [left(anonymous, one), left(anonymous, other)] == [19, 19]


def test_d08_addresses_of_one_network_cannot_be_used_up(anonymous, settings):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.1/32")]
    statuses = [come(anonymous, f"2001:db8::{n:x}").status_code for n in range(1, 201)]
    assert statuses == [200] * 20 + [429] * 180


def test_d08_clients_behind_one_proxy_have_a_bucket_each(anonymous, settings):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.1/32")]
    assert {left(anonymous, f"198.51.100.{n}") for n in range(20)} == {19}


def test_d08_proxies_are_counted_from_the_right(anonymous, proxies):
    chain = "6.6.6.6, 192.0.2.7, 10.0.0.2"  # what the second proxy hands to the first
    come(anonymous, chain)
    expected = {0: PROXY, 1: "10.0.0.2", 2: "192.0.2.7"}[proxies]
    assert left(anonymous, peer=expected) == 18


def test_d08_two_headers_are_one_list_and_a_direct_call_is_the_peers(anonymous, settings):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.1/32")]
    assert left(anonymous, "6.6.6.6,192.0.2.7") == 19  # as both lanes join two headers
    assert left(anonymous, "192.0.2.7") == 18
    assert left(anonymous, "192.0.2.7", peer="203.0.113.5") == 19  # past the proxy
    assert left(anonymous, "198.51.100.9", peer="::ffff:10.0.0.1") == 19  # the proxy, mapped


@pytest.mark.parametrize("path", ["/api/v1/logs", "/api/v1/templates/"])
def test_d05_refused_keys_count_for_the_address_and_not_for_a_project(anonymous, limited, path):
    wrong = {"HTTP_X_API_KEY": "llmr_pk_wrong", "REMOTE_ADDR": PROXY}
    statuses = [anonymous.get(path, **wrong).status_code for _ in range(11)]
    statuses += [anonymous.get(path, REMOTE_ADDR=PROXY).status_code for _ in range(11)]
    assert statuses == [401] * 20 + [429] * 2
    good = limited.get(path, REMOTE_ADDR=PROXY)  # the same office, with a key
    assert (good.status_code, standing(good)[:2]) == (200, (60, 59))


def test_health_is_answered_to_addresses_beyond_their_limit(anonymous):
    for _ in range(25):
        come(anonymous)
    for path in ("/health", "/live", "/ready"):
        assert come(anonymous, path=path).status_code == 200
    assert anonymous.options(DOCS, REMOTE_ADDR=PROXY).status_code == 200


@pytest.mark.usefixtures("way")
def test_unknown_keys_of_one_address_open_so_many_projects(anonymous, settings, bridge_mode):
    settings.NEW_PROJECTS_PER_MINUTE = 5
    send = {"content_type": "application/json", "REMOTE_ADDR": PROXY}
    replies = [
        anonymous.post(LOG, CALL, HTTP_X_API_KEY=f"brought {n}x".replace(" ", "-"), **send)
        for n in range(7)
    ]
    assert [reply.status_code for reply in replies] == [200] * 5 + [429] * 2
    assert "5 new projects per minute from your address" in replies[-1].json()["detail"]
    assert Project.objects.count() == 5
    known = anonymous.post(LOG, CALL, HTTP_X_API_KEY="brought-0x", **send)
    assert known.status_code == 200
    send["REMOTE_ADDR"] = "192.0.2.1"
    assert anonymous.post(LOG, CALL, HTTP_X_API_KEY="brought-9x", **send).status_code == 200


@pytest.mark.usefixtures("way")
def test_projects_of_unknown_keys_get_the_default_tier(anonymous, settings, bridge_mode):
    settings.DEFAULT_TIER = "starter"
    send = {"content_type": "application/json", "HTTP_X_API_KEY": "brought"}
    assert anonymous.post(LOG, CALL, **send).status_code == 503  # the operator deleted it
    assert Project.objects.count() == 0
    Tier.objects.create(name="starter", requests_per_minute=7)
    assert standing(anonymous.post(LOG, CALL, **send))[:2] == (7, 6)
    assert Project.objects.get().tier.name == "starter"


@pytest.mark.usefixtures("way")
def test_projects_of_unknown_keys_have_no_tier_by_default(anonymous, bridge_mode):
    reply = anonymous.post(LOG, CALL, content_type="application/json", HTTP_X_API_KEY="brought")
    assert (reply.status_code, Project.objects.get().tier) == (200, None)
    assert not set(HEADERS) & set(reply.headers)
