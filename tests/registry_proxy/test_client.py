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
def upstream():
    """The adapter alone: these tests need no database and no process state."""
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


def test_registry_without_manifest_has_the_providers_known_so_far(upstream):
    """Mirrors without a manifest worked with the older server."""
    del upstream.files["manifest.json"]
    upstream.files["acme/models.json"] = b'{"models": {}}'
    registry = upstream.client().registry(
        {"acme/models.json": UpstreamFile("acme/models.json", b"")}
    )
    assert registry.version == ""
    assert sorted(registry.documents) == ["acme", "anthropic", "google", "openai"]


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    "answer",
    [
        lambda: reply(500),
        lambda: reply(304),
        lambda: reply(204),
        lambda: reply(200, b"<html>Welcome to the hotel network</html>"),
        lambda: reply(200, b'{"models": {"a:b": '),
        lambda: reply(200, b"\x1f\x8bgarbage", {"Content-Encoding": "gzip"}),
        lambda: drip(itertools.repeat(b" " * 2**16)),
    ],
    ids=["500", "304 unasked", "204", "html", "cut off", "bad gzip", "endless"],
)
def test_half_a_registry_is_no_registry(upstream, path, answer):
    upstream.broken[path] = answer
    with pytest.raises(UpstreamUnavailable, match=path):
        upstream.client().registry({})


def test_a_provider_that_is_not_found_fails_the_whole(upstream):
    del upstream.files["google/models.json"]
    with pytest.raises(UpstreamUnavailable, match="google/models.json: not found"):
        upstream.client().registry({})


def test_unwritable_numbers_fail_the_whole(upstream):
    upstream.files["openai/models.json"] = samples.changed("openai", samples.MINI, limit=2**60)
    with pytest.raises(UpstreamUnavailable, match="no canonical form"):
        upstream.client().registry({})


def test_size_is_bounded(upstream):
    padding = b" " * (30 * 2**20)
    upstream.files["openai/models.json"] = samples.body("openai/models.json") + padding
    with pytest.raises(UpstreamUnavailable, match=f"more than {client.MAX_BYTES} bytes"):
        upstream.client().registry({})


def test_size_is_bounded_after_decompression(upstream):
    bomb = gzip.compress(b" " * (30 * 2**20))
    upstream.broken["openai/models.json"] = lambda: reply(200, bomb, {"Content-Encoding": "gzip"})
    with pytest.raises(UpstreamUnavailable, match=f"more than {client.MAX_BYTES} bytes"):
        upstream.client().registry({})


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
    assert str(caught.value) == "anthropic/models.json: ConnectionError"


def test_missing_files_are_left_out(upstream):
    found = upstream.client().files(["google/v/1/models.json", "google/v/2/models.json"], {})
    assert list(found) == ["google/v/1/models.json"]


@pytest.mark.parametrize("etag", ['"' + "x" * 300 + '"', '"a\x00b"', '"é"'])
def test_validators_that_cannot_be_sent_back_are_dropped(upstream, etag):
    upstream.broken["manifest.json"] = lambda: reply(200, b"{}", {"ETag": etag})
    assert upstream.client().files(["manifest.json"], {})["manifest.json"].etag == ""


def test_compressed_files_are_stored_plain(upstream):
    body = json.dumps({"models": {}}).encode()
    packed = gzip.compress(body)
    upstream.broken["openai/models.json"] = lambda: reply(200, packed, {"Content-Encoding": "gzip"})
    assert upstream.client().registry({}).files["openai/models.json"].body == body
