import gzip
import itertools
import json

import pytest

from registry_proxy import client
from registry_proxy.client import UpstreamFile, UpstreamUnavailable
from tests.registry_proxy import samples
from tests.registry_proxy.upstream import StubUpstream, drip, reply
from tests.site.loopback import listening, request_of

ALL = [
    "anthropic/models.json",
    "google/models.json",
    "manifest.json",
    "openai/models.json",
]


@pytest.fixture
def registry_away():
    """Not for these tests: they need no database and no process state."""


@pytest.fixture
def upstream():
    """The adapter alone."""
    return StubUpstream()


def test_registry_is_fetched_whole_and_byte_for_byte(upstream):
    registry = upstream.client().registry({})
    assert upstream.paths == ALL
    assert {path: file.body for path, file in registry.files.items()} == {
        path: samples.body(path) for path in ALL
    }
    assert registry.version == "2025-08-20"
    assert registry.documents == samples.documents()


def test_copies_at_hand_are_revalidated(upstream):
    first = upstream.client().registry({})
    upstream.files["openai/models.json"] = samples.changed("openai", samples.MINI, max_tools=1)
    second = upstream.client().registry(first.files)
    unchanged = [path for path in ALL if second.files[path] is first.files[path]]
    assert unchanged == [path for path in ALL if path != "openai/models.json"]
    assert second.documents["openai"]["models"][samples.MINI]["max_tools"] == 1


def test_providers_of_the_manifest_are_fetched_too(upstream):
    upstream.files["manifest.json"] = b'{"providers": {"acme": {}}}'
    upstream.files["acme/models.json"] = b'{"models": {}}'
    assert upstream.client().registry({}).documents["acme"] == {"models": {}}


def test_a_listed_provider_without_a_file_is_left_out(upstream):
    upstream.files["manifest.json"] = b'{"version": "1", "providers": {"mistral": {}}}'
    registry = upstream.client().registry({})
    assert sorted(registry.documents) == ["anthropic", "google", "openai"]
    assert registry.problems == ["mistral/models.json: not found; it is left out"]


def test_registry_without_manifest_has_the_providers_known_so_far(upstream):
    """Mirrors without a manifest worked with the older server."""
    del upstream.files["manifest.json"]
    upstream.files["acme/models.json"] = b'{"models": {}}'
    registry = upstream.client().registry(
        {"acme/models.json": UpstreamFile("acme/models.json", b"")}
    )
    assert registry.version == ""
    assert sorted(registry.documents) == ["acme", "anthropic", "google", "openai"]


FAULTS = pytest.mark.parametrize(
    "answer, why",
    [
        (lambda: reply(500), "status 500"),
        (lambda: reply(304), "status 304"),
        (lambda: reply(204), "status 204"),
        (lambda: reply(404), "not found"),
        (lambda: reply(200, b"<html>Welcome to the hotel network</html>"), "invalid JSON"),
        (lambda: reply(200, b'{"models": {"a:b": '), "invalid JSON"),
        (lambda: reply(200, b'{"models": []}'), "`models` is not an object"),
        (lambda: reply(200, b'{"models": {"a:b": {"x": "\\u0000"}}}'), "NUL"),
        (lambda: reply(200, b"\x1f\x8bgarbage", {"Content-Encoding": "gzip"}), "ContentDecoding"),
        (lambda: drip(itertools.repeat(b" " * 2**16)), "more than 4194304 bytes"),
    ],
    ids=[
        "500",
        "304 unasked",
        "204",
        "404",
        "html",
        "cut off",
        "no models",
        "NUL",
        "bad gzip",
        "endless",
    ],
)


@FAULTS
def test_a_provider_that_fails_is_left_out_alone(upstream, answer, why):
    upstream.broken["google/models.json"] = answer
    registry = upstream.client().registry({})
    assert sorted(registry.documents) == ["anthropic", "openai"]
    (problem,) = registry.problems
    assert problem.startswith("google/models.json: ")
    assert why in problem
    assert problem.endswith("; it is left out")


@FAULTS
def test_a_provider_that_fails_keeps_its_last_copy(upstream, answer, why):
    first = upstream.client().registry({})
    upstream.files["openai/models.json"] = samples.changed("openai", samples.MINI, max_tools=1)
    upstream.broken["google/models.json"] = answer
    fallback = upstream.client().registry({}, fallback=first.files)
    kept, held = fallback.files["google/models.json"], first.files["google/models.json"]
    assert kept.body == held.body
    assert fallback.documents["openai"]["models"][samples.MINI]["max_tools"] == 1
    (problem,) = fallback.problems
    assert why in problem
    assert problem.endswith("; its last copy is kept")


@pytest.mark.parametrize("body", [b'{"models": {}}', b'{"models": {"openai:gpt-4o-mini": null}}'])
def test_a_provider_does_not_lose_all_its_models(upstream, body):
    first = upstream.client().registry({})
    upstream.files["openai/models.json"] = body
    second = upstream.client().registry(first.files)
    assert second.documents["openai"] == first.documents["openai"]
    assert "openai/models.json: it has no models; its last copy is kept" in second.problems


def test_a_copy_of_another_upstream_is_kept_without_its_validators(upstream):
    others = upstream.client().registry({}).files
    upstream.broken["google/models.json"] = upstream.broken["manifest.json"] = lambda: reply(500)
    kept = upstream.client().registry({}, fallback=others).files
    for path in ("google/models.json", "manifest.json"):
        assert (kept[path].body, kept[path].etag) == (others[path].body, "")
    assert upstream.client().registry(others).files["google/models.json"].etag


@pytest.mark.parametrize("answer", [lambda: reply(500), lambda: reply(200, b"<html>")])
def test_a_manifest_that_fails_keeps_its_last_copy(upstream, answer):
    upstream.files["acme/models.json"] = b'{"models": {}}'
    acme = UpstreamFile("acme/models.json", b'{"models": {}}')
    first = upstream.client().registry({}).files | {"acme/models.json": acme}
    upstream.broken["manifest.json"] = answer
    registry = upstream.client().registry({}, fallback=first)
    assert registry.version == "2025-08-20"
    assert registry.problems[0].startswith("manifest.json: ")


def test_a_registry_without_any_provider_is_unavailable(upstream):
    for provider in samples.PROVIDERS:
        upstream.broken[f"{provider}/models.json"] = lambda: reply(500)
    with pytest.raises(UpstreamUnavailable, match="openai/models.json: status 500"):
        upstream.client().registry({})


def test_unknown_big_integers_stop_nothing(upstream):
    body = samples.changed("openai", samples.MINI, limit=2**60, huge=10**30)
    body = body.replace(b"{", b'{"generated_ns": 1767323045678901234, ', 1)
    upstream.files["openai/models.json"] = body
    registry = upstream.client().registry({})
    model = registry.documents["openai"]["models"][samples.MINI]
    assert (model["limit"], model["huge"]) == (2**60, 10**30)
    assert registry.problems == []
    upstream.files["openai/models.json"] = body.replace(str(10**30).encode(), b"1" * 31)
    assert upstream.client().registry({}).digest != registry.digest


def test_what_is_ignored_of_a_file_is_reported(upstream):
    price = {"dollars_per_million_tokens_input": "free", "dollars_per_million_tokens_x": "0.5"}
    body = json.loads(samples.changed("openai", samples.MINI, **price))
    body["models"]["openai:broken"] = 7
    upstream.files["openai/models.json"] = json.dumps(body).encode()
    assert upstream.client().registry({}).problems == [
        "openai/models.json: openai:gpt-4o-mini: dollars_per_million_tokens_input is not a price: "
        "'free'",
        "openai/models.json: the entry 'openai:broken' is not an object",
    ]
    body["models"] |= {f"openai:{number}": 7 for number in range(100)}
    upstream.files["openai/models.json"] = json.dumps(body).encode()
    problems = upstream.client().registry({}).problems
    assert (len(problems), problems[-1]) == (20, "and 83 more")


def test_size_is_bounded(upstream):
    padding = b" " * (30 * 2**20)
    upstream.files["openai/models.json"] = samples.body("openai/models.json") + padding
    with pytest.raises(UpstreamUnavailable, match=f"more than {client.MAX_BYTES} bytes"):
        upstream.client().files(["openai/models.json"], {})


def test_size_is_bounded_after_decompression(upstream):
    bomb = gzip.compress(b" " * (30 * 2**20))
    upstream.broken["openai/models.json"] = lambda: reply(200, bomb, {"Content-Encoding": "gzip"})
    with pytest.raises(UpstreamUnavailable, match=f"more than {client.MAX_BYTES} bytes"):
        upstream.client().files(["openai/models.json"], {})


def drip_on(connection):
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" ")


def test_time_is_bounded_even_when_bytes_keep_arriving():
    with listening(drip_on) as port, client.open_session() as session:
        slow = client.RegistryClient(session, base_url=f"http://127.0.0.1:{port}", timeout=0.2)
        with pytest.raises(UpstreamUnavailable, match="manifest.json: .*Timeout"):
            slow.files(["manifest.json"], {})


def test_only_permitted_addresses_are_called(settings):
    settings.EGRESS = "public"
    with listening(drip_on) as port, client.open_session() as session:
        local = client.RegistryClient(session, base_url=f"http://127.0.0.1:{port}", timeout=1)
        with pytest.raises(UpstreamUnavailable, match="manifest.json: ForbiddenAddress"):
            local.files(["manifest.json"], {})


def test_every_request_has_timeouts(upstream):
    upstream.client(timeout=2).registry({})
    upstream.client(timeout=10).registry({})
    assert upstream.timeouts == [(2, 2)] * 4 + [(3.05, 10)] * 4


def test_errors_never_show_the_address(upstream):
    upstream.down = True
    with pytest.raises(UpstreamUnavailable) as caught:
        upstream.client().registry({})
    assert str(caught.value) == "; ".join(f"{path}: ConnectionError" for path in ALL)


def test_missing_files_are_left_out(upstream):
    result = upstream.client().files(["google/v/1/models.json", "google/v/2/models.json"], {})
    assert list(result) == ["google/v/1/models.json"]


@pytest.mark.parametrize("etag", ['"' + "x" * 300 + '"', '"a\x00b"', '"é"'])
def test_validators_that_cannot_be_sent_back_are_dropped(upstream, etag):
    upstream.broken["manifest.json"] = lambda: reply(200, b"{}", {"ETag": etag})
    assert upstream.client().files(["manifest.json"], {})["manifest.json"].etag == ""


def test_compressed_files_are_stored_plain(upstream):
    body = json.dumps({"models": {}}).encode()
    packed = gzip.compress(body)
    upstream.broken["openai/models.json"] = lambda: reply(200, packed, {"Content-Encoding": "gzip"})
    assert upstream.client().registry({}).files["openai/models.json"].body == body
