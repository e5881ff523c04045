"""auth_config: sealed in the database, masked in replies (contract B8)."""

import pytest
from django.db import connection

from core.secrets import Sealed
from mcp import credentials
from mcp.models import Server
from tests.mcp.conftest import SERVER

PATH = "/api/v1/mcp/servers"
BEARER = {"type": "bearer", "token": "a-very-secret-token-1234"}
OAUTH = {
    "type": "oauth2",
    "token_url": "https://a.b/token",
    "client_id": "us",
    "client_secret": "shh-0123456789",
}
MASKED = {"type": "bearer", "token": "••••1234"}

CONFIGS = [
    (BEARER, MASKED),
    (
        {"type": "api_key", "header": "X-Key", "key": "0123456789abcdef"},
        {"type": "api_key", "header": "X-Key", "key": "••••cdef"},
    ),
    (
        {"type": "basic", "username": "me", "password": "correct horse"},
        {"type": "basic", "username": "me", "password": "••••"},
    ),
    (
        {**OAUTH, "scope": "read"},
        {**OAUTH, "client_secret": "••••6789", "scope": "read"},
    ),
    (
        {**OAUTH, "scopes": ["read", "write"]},
        {**OAUTH, "client_secret": "••••6789", "scopes": ["read", "write"]},
    ),
    (
        {"type": "headers", "headers": {"scope": "0123456789", "resource": "0123"}},
        {"type": "headers", "headers": {"scope": "••••6789", "resource": "••••"}},
    ),
    ({"token": "short"}, {"token": "••••"}),
    (
        {"type": "headers", "headers": {"X-A": "0123456789", "X-B": "b"}, "pins": [12345678]},
        {"type": "headers", "headers": {"X-A": "••••6789", "X-B": "••••"}, "pins": ["••••5678"]},
    ),
    (
        {**BEARER, "is_test": True, "expires": None},
        {**MASKED, "is_test": True, "expires": None},
    ),
]


def stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT auth_config FROM servers")
        return cursor.fetchone()[0]


@pytest.mark.parametrize(("config", "masked"), CONFIGS)
def test_secrets_are_sealed_at_rest_and_masked_in_replies(api, register, config, masked):
    server = register(auth_config=config)
    assert server["auth_config"] == masked
    assert api.read(f"{PATH}/{server['id']}")["auth_config"] == masked
    assert Server.objects.get().auth_config.open() == config
    for secret in ("1234", "cdef", "correct", "shh", "short", "0123"):
        assert secret not in stored().lower() or len(secret) < 5


@pytest.mark.parametrize(("config", "masked"), CONFIGS)
def test_masked_secret_sent_back_stays_what_it_was(api, register, config, masked):
    server = register(auth_config=config)
    api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": masked, "name": "new"})
    assert Server.objects.get().auth_config.open() == config


def test_new_secret_replaces_the_old_beside_masked_ones(api, register):
    config = {"type": "basic", "username": "me", "password": "old"}
    server = register(auth_config=config)
    changed = {"type": "basic", "username": "you", "password": "••••"}
    api.send("PATCH", f"{PATH}/{server['id']}", {"auth_config": changed})
    assert Server.objects.get().auth_config.open() == {**config, "username": "you"}
    api.send("PATCH", f"{PATH}/{server['id']}", {"auth_config": {**config, "password": "new"}})
    assert Server.objects.get().auth_config.open()["password"] == "new"


def test_empty_object_clears_and_null_keeps(api, register):
    server = register(auth_config=BEARER)
    api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": None})
    assert Server.objects.get().auth_config.open() == BEARER
    reply = api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": {}})
    assert reply["auth_config"] is None
    assert Server.objects.get().auth_config is None


def test_server_without_secrets_moves_to_another_host(api, register):
    server = register(auth_config={"type": "none"})
    moved = api.send("PATCH", f"{PATH}/{server['id']}", {"url": "https://a.b/mcp"})
    assert (moved["url"], moved["auth_config"]) == ("https://a.b/mcp", {"type": "none"})


@pytest.mark.parametrize("mask", ["••••", "••••9999", "••••1234x"])
def test_mask_of_nothing_is_refused(api, register, mask):
    api.send("POST", PATH, {**SERVER, "auth_config": {**BEARER, "token": mask}}, expect=422)
    server = register(auth_config={"type": "none"})
    config = {**BEARER, "token": mask}
    api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": config}, expect=422)


def test_mask_in_a_list_that_was_none_is_refused(api, register):
    server = register(auth_config=BEARER)
    config = {**MASKED, "pins": ["••••1234"]}
    reply = api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": config}, expect=422)
    assert reply["detail"][0]["loc"] == ["body", "auth_config", "pins", 0]
    assert Server.objects.get().auth_config.open() == BEARER


@pytest.mark.parametrize("mask", ["••••9999", "••••1234x", "••••123"])
def test_mask_of_another_secret_is_refused(api, register, mask):
    server = register(auth_config=BEARER)
    config = {**BEARER, "token": mask}
    api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": config}, expect=422)
    assert Server.objects.get().auth_config.open() == BEARER


@pytest.mark.parametrize(
    ("config", "loc"),
    [
        ({"type": "bearer"}, ["token"]),
        ({"type": "bearer", "token": ""}, ["token"]),
        ({"type": "bearer", "token": 5}, ["token"]),
        ({"type": "bearer", "token": "a\r\nHost: b"}, ["token"]),
        ({"type": "api_key", "header": "X-Key"}, ["key"]),
        ({"type": "api_key", "header": "Host", "key": "k"}, ["header"]),
        ({"type": "api_key", "header": "Mcp-Session-Id", "key": "k"}, ["header"]),
        ({"type": "api_key", "header": "a b", "key": "k"}, ["header"]),
        ({"type": "api_key", "header": ["X"], "key": "k"}, ["header"]),
        ({"type": "basic", "username": "me"}, ["password"]),
        ({"type": "oauth2", "token_url": "https://a.b", "client_id": "c"}, ["client_secret"]),
        (
            {"type": "oauth2", "token_url": "file:///x", "client_id": "c", "client_secret": "s"},
            ["token_url"],
        ),
        ({**OAUTH, "token_url": "https:///token"}, ["token_url"]),
        ({**OAUTH, "token_url": "https://us:pw@a.b/token"}, ["token_url"]),
        ({**OAUTH, "scope": {"read": True}}, ["scope"]),
        ({**OAUTH, "scopes": ["read", 5]}, ["scopes"]),
        ({**OAUTH, "audience": 5}, ["audience"]),
        ({"type": "headers"}, ["headers"]),
        ({"type": "headers", "headers": {}}, ["headers"]),
        ({"type": "headers", "headers": ["X-A: b"]}, ["headers"]),
        ({"type": "headers", "headers": {"X-A": 5}}, ["headers", "X-A"]),
        ({"type": "headers", "headers": {"X-A": None}}, ["headers", "X-A"]),
        ({"type": "headers", "headers": {"X-A": ""}}, ["headers", "X-A"]),
        ({"type": "headers", "headers": {"X-A": "a\nb"}}, ["headers", "X-A"]),
        ({"type": "headers", "headers": {"X-A": "ключ"}}, ["headers", "X-A"]),
        ({"type": "headers", "headers": {"X-A": " a"}}, ["headers", "X-A"]),
        ({"type": "headers", "headers": {"X-A": "a\x7f"}}, ["headers", "X-A"]),
        ({"type": "headers", "headers": {"Host": "a"}}, ["headers", "Host"]),
        ({"type": "headers", "headers": {"Mcp-Name": "a"}}, ["headers", "Mcp-Name"]),
        ({"type": "headers", "headers": {"a b": "c"}}, ["headers", "a b"]),
        ({"type": "headers", "headers": {"": "c"}}, ["headers", ""]),
        ({"type": "headers", "headers": {"X-A": "a", "x-a": "b"}}, ["headers"]),
        ({"type": "bearer", "token": "ключ"}, ["token"]),
        ({"token": "a b\u2028"}, ["token"]),
        ({"api_key": "€"}, ["api_key"]),
        ({"type": "kerberos", "ticket": "x"}, ["type"]),
        ({"type": ["bearer"], "token": "x"}, ["type"]),
        ({"certificate": "x"}, ["type"]),
    ],
)
def test_credentials_that_can_never_be_used_are_refused(api, config, loc):
    reply = api.send("POST", PATH, {**SERVER, "auth_config": config}, expect=422)
    assert [each["loc"] for each in reply["detail"]] == [["body", "auth_config", *loc]]


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        *[({"token": "t"}, "bearer"), ({"api_key": "k"}, "api_key")],
        *[({"username": "u", "password": "p"}, "basic"), ({"type": "OAuth"}, "oauth2")],
        *[({"type": "none"}, "none"), ({"type": "kerberos", "token": "t"}, ""), ({}, "none")],
    ],
)
def test_kind_follows_from_the_type_or_the_members(config, kind):
    assert credentials.kind(config) == kind


def test_secret_does_not_follow_the_address_to_another_host(api, register):
    """Whoever may change the address could else read the secret at a server of their own."""
    server = register(auth_config=BEARER)
    path = f"{PATH}/{server['id']}"
    for config in (None, MASKED):
        changes = {"url": "http://attacker.example/", "auth_config": config}
        reply = api.send("PUT", path, changes, expect=422)
        assert reply["detail"][0]["loc"] == ["body", "auth_config"]
    assert Server.objects.get().url == SERVER["url"]
    api.send("PUT", path, {"url": f"{SERVER['url']}/v2"})
    api.send("PUT", path, {"url": "http://elsewhere.example/", "auth_config": BEARER})
    api.send("PUT", path, {"url": "http://attacker.example/", "auth_config": {}})
    assert Server.objects.get().auth_config is None


def test_secret_does_not_go_to_another_token_server(api, register):
    server = register(auth_config=OAUTH)
    path = f"{PATH}/{server['id']}"
    moved = {**server["auth_config"], "token_url": "https://attacker.example/token"}
    reply = api.send("PUT", path, {"auth_config": moved}, expect=422)
    assert reply["detail"][0]["loc"] == ["body", "auth_config", "token_url"]
    assert Server.objects.get().auth_config.open() == OAUTH
    moved["client_secret"] = OAUTH["client_secret"]
    api.send("PUT", path, {"auth_config": moved})
    assert Server.objects.get().auth_config.open() == moved


def test_secret_that_cannot_be_decrypted_is_named_and_can_be_replaced(api, register):
    server = register(auth_config=BEARER)
    lost = Sealed("s1.00000000.AAAA")
    Server.objects.update(auth_config=lost)
    assert "key" in api.read(f"{PATH}/{server['id']}")["auth_config"]["unreadable"]
    api.send("PUT", f"{PATH}/{server['id']}", {"name": "still works"})
    api.send("PUT", f"{PATH}/{server['id']}", {"url": "http://elsewhere.example/"}, expect=422)
    assert Server.objects.get().url == SERVER["url"]
    api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": BEARER})
    assert Server.objects.get().auth_config.open() == BEARER


def test_refused_credentials_are_not_repeated(api):
    secret = "a-secret-that-nobody-repeats"
    for entry in (
        {"auth_config": {"type": "bearer", "token": f"{secret}\n"}},
        {"auth_config": secret},
        {"auth_config": [secret]},
        {"auth_config": {"type": "headers", "headers": {"X-A": f"{secret}€"}}},
        {"auth_config": {"type": "bearer", "token": secret}, "name": None},
        {"auth_config": {"type": "bearer", "token": secret}, "url": "nowhere"},
    ):
        response = api.post(PATH, {**SERVER, **entry}, "application/json")
        assert response.status_code == 422
        assert secret not in response.content.decode()
    # The error about a missing member repeats all others.
    config = {"type": "bearer", "token": secret}
    reply = api.send("POST", PATH, {"name": "calc", "auth_config": config}, expect=422)
    assert [each["loc"][1] for each in reply["detail"]] == ["url", "transport_type"]
    for each in reply["detail"]:
        assert each["input"] == {"name": "calc", "auth_config": "••••"}


@pytest.mark.parametrize("config", [BEARER, {"type": "headers", "headers": {"X-A": "b"}}])
def test_command_takes_no_credentials(api, register, config):
    entry = {**SERVER, "transport_type": "stdio", "url": "some-command"}
    reply = api.send("POST", PATH, {**entry, "auth_config": config}, expect=422)
    assert reply["detail"][0]["loc"] == ["body", "auth_config"]
    server = register(transport_type="stdio", url="some-command", auth_config={"type": "none"})
    api.send("PUT", f"{PATH}/{server['id']}", {"auth_config": config}, expect=422)
