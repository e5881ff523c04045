"""The key of a request (docs/http-contract.md, section "Keys"); texts are the contract's."""

import hashlib
import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import ApiKey, Project
from tests.client import ApiClient
from tests.usage.calls import CALL

ROUTE = "/api/v1/logs"
MISSING = "Authentication required: provide X-API-Key or Authorization: Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_X_API_KEY": ""},
        {"HTTP_X_API_KEY": "  "},
        {"HTTP_AUTHORIZATION": "Bearer "},
        {"HTTP_AUTHORIZATION": "Basic abc"},
    ],
)
def test_request_without_key_is_unauthorized(anonymous, headers):
    response = anonymous.get(ROUTE, **headers)
    assert (response.status_code, response.json()) == (401, {"detail": MISSING})
    assert response["WWW-Authenticate"] == "ApiKey"


def _in_header(text: str) -> str:
    """Return UTF-8 text as WSGI has it: its bytes as ISO 8859-1."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize("header", ["HTTP_X_API_KEY", "HTTP_X_PROJECT_KEY", "HTTP_AUTHORIZATION"])
def test_key_is_taken_from_three_headers(api, header):
    value = f"Bearer {api.key}" if header == "HTTP_AUTHORIZATION" else api.key
    api.send("POST", "/api/v1/log", CALL)
    assert len(ApiClient().read(ROUTE, **{header: value})) == 1


def test_api_key_header_wins_over_the_others(api, other_api):
    api.send("POST", "/api/v1/log", CALL)
    others = {"HTTP_X_PROJECT_KEY": api.key, "HTTP_AUTHORIZATION": f"Bearer {api.key}"}
    assert other_api.read(ROUTE, **others) == []


@pytest.mark.parametrize(
    ("key", "detail"),
    [
        ("k" * 256, "X-API-Key too long"),
        ("a b", "X-API-Key must not contain whitespace"),
        ("a\tb", "X-API-Key must not contain whitespace"),
        ("a\xa0b", "X-API-Key must not contain whitespace"),
        (_in_header("a\xa0b"), "X-API-Key must not contain whitespace"),
        (_in_header("a\u2003b"), "X-API-Key must not contain whitespace"),
        (_in_header("ü" * 256), "X-API-Key too long"),
        ("brought,brought", "X-API-Key must be sent once"),
        ("brought, brought", "X-API-Key must be sent once"),
        (f"llmr_pk_{'0' * 32},brought", "X-API-Key must be sent once"),
        (f"brought,llmr_pk_{'0' * 32}", "X-API-Key must be sent once"),
    ],
)
def test_text_that_cannot_be_a_key_is_refused(anonymous, key, detail):
    assert anonymous.read(ROUTE, HTTP_X_API_KEY=key, expect=400) == {"detail": detail}


def test_header_that_is_sent_twice_opens_no_project(bridge_mode, anonymous, api):
    """Servers join its values by a comma."""
    headers = {"HTTP_AUTHORIZATION": f"Bearer {api.key},Bearer {api.key}"}
    refused = anonymous.send("POST", "/api/v1/log", CALL, expect=400, **headers)
    assert refused == {"detail": "Authorization must be sent once"}
    assert ApiKey.objects.count() == 1


def test_key_with_a_comma_is_one_key(bridge_mode, anonymous):
    anonymous.send("POST", "/api/v1/log", CALL, HTTP_X_API_KEY="brought,by,us")
    assert ApiKey.objects.get().digest == hashlib.sha256(b"brought,by,us").digest()


@pytest.mark.parametrize("key", ["k" * 255, _in_header("ü" * 255)], ids=["ascii", "utf-8"])
def test_longest_key_is_accepted(anonymous, bridge_mode, key):
    assert anonymous.read(ROUTE, HTTP_X_API_KEY=key) == []


@pytest.mark.parametrize("header", ["HTTP_X_API_KEY", "HTTP_X_PROJECT_KEY", "HTTP_AUTHORIZATION"])
def test_letters_whose_bytes_look_like_blanks_tell_keys_apart(anonymous, bridge_mode, header):
    """In ISO 8859-1 the last bytes of à, Å and Р are blanks, which are trimmed or refused."""
    keys = ["cl\xe9-à", "cl\xe9-Å", "cl\xe9-Ã", "Р-1", "Р-2"]
    for key in keys:
        value = _in_header(f"Bearer {key}" if header == "HTTP_AUTHORIZATION" else key)
        anonymous.send("POST", "/api/v1/log", {**CALL, "origin": key}, **{header: value})
        assert [log["origin"] for log in anonymous.read(ROUTE, **{header: value})] == [key]
    digests = {bytes(row.digest) for row in ApiKey.objects.all()}
    assert digests == {hashlib.sha256(key.encode()).digest() for key in keys}


def test_key_is_the_same_in_utf_8_and_latin_1(anonymous, bridge_mode):
    anonymous.send("POST", "/api/v1/log", CALL, HTTP_X_API_KEY=_in_header("schlüssel"))
    assert len(anonymous.read(ROUTE, HTTP_X_API_KEY="schlüssel")) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/v1/templates", {"name": "t"}), ("/conversations", {}), ("/api/v1/log", CALL)],
)
def test_any_first_write_opens_the_project_of_an_unknown_key(anonymous, bridge_mode, path, body):
    anonymous.read("/api/v1/templates", HTTP_X_API_KEY="brought")
    assert not ApiKey.objects.exists()
    anonymous.send("POST", path, body, HTTP_X_API_KEY="brought")
    assert ApiKey.objects.get().digest == hashlib.sha256(b"brought").digest()


def test_only_the_digest_of_a_key_is_stored(project):
    row, key = ApiKey.issue(project)
    assert len(key) == len("llmr_pk_") + 32 and key.startswith("llmr_pk_")
    row.refresh_from_db()
    assert bytes(row.digest) == hashlib.sha256(key.encode()).digest()
    assert not any(key in str(value) for value in vars(row).values())


def test_two_keys_of_a_project_see_the_same_rows(api, project):
    api.send("POST", "/api/v1/log", CALL)
    assert len(ApiClient.of(project).read(ROUTE)) == 1


def test_expired_key_is_refused(project):
    _, key = ApiKey.issue(project, expires_at=timezone.now() - timedelta(seconds=1))
    assert ApiClient(key).read(ROUTE, expect=401) == {"detail": "Invalid API key"}


def test_strict_mode_knows_only_issued_keys(api, settings):
    settings.API_KEY_VALIDATION_MODE = "strict"
    assert api.read(ROUTE) == []
    assert ApiClient("unknown").read(ROUTE, expect=401) == {"detail": "Invalid API key"}
    assert Project.objects.count() == 1


def test_strict_mode_keeps_the_keys_that_bridge_mode_admitted(anonymous, bridge_mode, settings):
    """An operator can let clients bring their keys, and then close the door."""
    body = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    for key in ("brought", "leaked"):
        anonymous.send("POST", "/api/v1/log", body, HTTP_X_API_KEY=key)
    call_command("revokekey", "leaked", stdout=io.StringIO())
    settings.API_KEY_VALIDATION_MODE = "strict"
    assert len(anonymous.read(ROUTE, HTTP_X_API_KEY="brought")) == 1
    for key in ("leaked", "new"):
        refused = anonymous.read(ROUTE, HTTP_X_API_KEY=key, expect=401)
        assert refused == {"detail": "Invalid API key"}


@pytest.mark.parametrize("mode", ["bridge", "strict"])
@pytest.mark.parametrize("form", ["{0}", "{0.hex}", "{{{0}}}", "{0.urn}"])
def test_ids_are_never_keys(api, anonymous, settings, mode, form):
    """Replies show them to everybody."""
    settings.API_KEY_VALIDATION_MODE = mode
    key = form.format(api.api_key_id)
    refusal = {"detail": "Invalid API key: a UUID is never a key"}
    assert anonymous.read(ROUTE, HTTP_X_API_KEY=key, expect=401) == refusal
    anonymous.send("POST", "/api/v1/log", CALL, HTTP_X_API_KEY=key, expect=401)
    assert Project.objects.count() == 1
