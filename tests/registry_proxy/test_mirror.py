"""Versions, archives and upstream's own files."""

import json

import pytest

from registry_proxy.models import RegistryFile
from tests.registry_proxy import samples
from tests.registry_proxy.upstream import reply, restart

pytestmark = pytest.mark.django_db(transaction=True)

FOR_GOOD = "public, max-age=31536000, immutable"
AN_HOUR = "public, max-age=3600"
PRICE = "dollars_per_million_tokens_input"


@pytest.fixture
def two_days(refreshed):
    """Three snapshots: one of 19 August, two of the 20th, with the price of a model going down."""
    refreshed(8, 19)
    refreshed(8, 20, openai=samples.changed("openai", samples.MINI, **{PRICE: 0.1}))
    refreshed(8, 20, openai=samples.changed("openai", samples.MINI, **{PRICE: 0.05}))


@pytest.mark.parametrize(
    "name, price, cache_control",
    [
        ("2026.08.19", 0.15, FOR_GOOD),
        ("2026-08-19", 0.15, FOR_GOOD),
        ("2026.08.20", 0.1, FOR_GOOD),
        ("2026.08.20.2", 0.05, FOR_GOOD),
        ("2026-08-20-2", 0.05, FOR_GOOD),
        ("1", 1.0, FOR_GOOD),
        ("2", 2.0, FOR_GOOD),
        ("2025-08-20", 0.15, FOR_GOOD),
        ("2025.08.20", 0.15, FOR_GOOD),
    ],
    ids=[
        "dots",
        "dashes",
        "first of a day",
        "second of a day",
        "second of a day, dashes",
        "an archive that every provider has",
        "an archive that others may get yet, without them",
        "upstream's own name for its state",
        "upstream's own name, with dots",
    ],
)
@pytest.mark.parametrize("path", ["/registry/v/{}/registry.json", "/registry?version={}"])
def test_versions(anonymous, two_days, name, price, cache_control, path):
    response = anonymous.get(path.format(name))
    assert response.status_code == 200
    assert response.json()["models"][samples.MINI][PRICE] == price
    assert response["Cache-Control"] == cache_control
    again = anonymous.get(path.format(name), HTTP_IF_NONE_MATCH=response["ETag"])
    assert (again.status_code, again["Cache-Control"]) == (304, cache_control)


def test_an_archive_number_means_the_same_when_another_provider_reaches_it(
    anonymous, refreshed, upstream
):
    refreshed(8, 19)
    before = _archive(anonymous, 2)
    assert "google" not in before["providers"]
    upstream.files["google/v/2/models.json"] = samples.archive("google", 2)
    google = samples.documents()["google"] | {"version": 2}
    refreshed(8, 20, google=json.dumps(google).encode())
    assert _archive(anonymous, 2) == before
    assert anonymous.get("/registry/google/v/2/models.json").status_code == 200


def test_an_archive_that_lacks_a_provider_is_not_offered(anonymous, two_days, upstream):
    """It would change once upstream fills the gap."""
    del upstream.files["openai/v/1/models.json"]
    assert anonymous.read("/registry/v/1/registry.json", expect=404) == {
        "detail": "Version 1 not found"
    }


def test_upstreams_name_for_a_day_to_come_is_not_offered(anonymous, refreshed, upstream):
    """A snapshot of that day would take the name over."""
    upstream.files["manifest.json"] = json.dumps({"version": "2026-08-20"}).encode()
    refreshed(8, 19)
    anonymous.read("/registry/v/2026-08-20/registry.json", expect=404)
    refreshed(8, 20, openai=samples.changed("openai", samples.MINI, **{PRICE: 0.1}))
    body = anonymous.read("/registry/v/2026-08-20/registry.json")
    assert body["snapshot"] == "2026.08.20"


@pytest.mark.parametrize(
    "name",
    ["2026.08.18", "2026.08.20.3", "2026.13.01", "4", "99", "0", "latest", "x" * 65, "%7Bx%7D"],
)
def test_unknown_versions_are_not_found(anonymous, two_days, upstream, name):
    payload = name.replace("%7B", "{").replace("%7D", "}")
    expected = {"detail": f"Version {payload} not found"}
    assert anonymous.read(f"/registry/v/{name}/registry.json", expect=404) == expected
    assert anonymous.read(f"/registry.json?version={name}", expect=404) == expected
    assert upstream.requests == []


def test_the_current_document_names_the_version_it_can_be_had_by(anonymous, two_days):
    current = anonymous.get("/registry")
    name = current.json()["snapshot"]
    assert anonymous.get(f"/registry/v/{name}/registry.json").content == current.content


def test_an_archive_number_joins_all_providers_that_have_it(anonymous, two_days):
    def providers(number: int) -> list[str]:
        models = _archive(anonymous, number)["models"].values()
        return sorted({model["provider"] for model in models})

    assert providers(1) == ["anthropic", "google", "openai"]
    assert providers(2) == ["anthropic", "openai"]
    assert providers(3) == ["anthropic"]


def test_an_archive_document_says_what_it_is(anonymous, two_days):
    body = _archive(anonymous, 2)
    assert (body["version"], body["snapshot"]) == ("2", None)
    assert body["generated_at"] == "2026-08-18T21:05:03.715411Z"
    assert body["providers"]["anthropic"]["version"] == 2


def test_archives_are_fetched_once(anonymous, two_days, upstream):
    _archive(anonymous, 1)
    assert upstream.paths == [f"{name}/v/1/models.json" for name in samples.PROVIDERS]
    assert RegistryFile.objects.filter(path__endswith="/v/1/models.json").count() == 3
    restart()
    upstream.down = True
    assert _archive(anonymous, 1)["version"] == "1"


def test_archives_that_cannot_be_fetched_are_503_and_never_half(anonymous, two_days, upstream):
    upstream.broken["openai/v/1/models.json"] = lambda: reply(500)
    path = "/registry/v/1/registry.json"
    expected = {"detail": "The archive could not be fetched yet; try again"}
    assert anonymous.read(path, expect=503) == expected
    asked = len(upstream.requests)
    assert anonymous.read(path, expect=503) == expected
    assert len(upstream.requests) == asked, "a failed upstream is left alone for a while"


def test_garbage_is_not_stored_as_an_archive(anonymous, two_days, upstream):
    upstream.files["google/v/1/models.json"] = b"<html>"
    anonymous.read("/registry/google/v/1/models.json", expect=503)
    assert not RegistryFile.objects.filter(path="google/v/1/models.json").exists()


def test_a_gap_in_the_archives_is_looked_for_once(anonymous, two_days, upstream):
    del upstream.files["anthropic/v/3/models.json"]
    path = "/registry/anthropic/v/3/models.json"
    for _ in range(2):
        assert anonymous.read(path, expect=404) == {"detail": "Version 3 not found"}
    assert upstream.paths == ["anthropic/v/3/models.json"]


@pytest.mark.parametrize(
    "path, cache_control",
    [
        ("manifest.json", AN_HOUR),
        ("openai/models.json", AN_HOUR),
        ("anthropic/models.json", AN_HOUR),
        ("anthropic/v/3/models.json", FOR_GOOD),
        ("openai/v/1/models.json", FOR_GOOD),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_files_are_mirrored_byte_for_byte(
    anonymous, refreshed, upstream, path, cache_control, slash
):
    refreshed(8, 19)
    response = anonymous.get(f"/registry/{path}{slash}")
    assert response.content == upstream.files[path]
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == cache_control
    again = anonymous.get(f"/registry/{path}", HTTP_IF_NONE_MATCH=response["ETag"])
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path, detail",
    [
        ("acme/models.json", "Provider acme not found"),
        ("acme/v/1/models.json", "Provider acme not found"),
        ("openai/v/3/models.json", "Version 3 not found"),
        ("openai/v/0/models.json", "Version 0 not found"),
        ("openai/v/x/models.json", "Version x not found"),
        ("openai/v/1e3/models.json", "Version 1e3 not found"),
        ("v/models.json", "Provider v not found"),
        ("other.json", "Not Found"),
    ],
)
def test_unknown_files_are_not_found(anonymous, refreshed, upstream, path, detail):
    refreshed(8, 19)
    assert anonymous.read(f"/registry/{path}", expect=404) == {"detail": detail}
    assert upstream.requests == []


def test_a_registry_without_manifest_is_named_by_its_day(anonymous, refreshed, upstream):
    del upstream.files["manifest.json"]
    refreshed(8, 19)
    assert anonymous.read("/registry")["version"] == "2026.08.19"
    assert anonymous.read("/registry/manifest.json", expect=404) == {"detail": "Manifest not found"}


def _archive(anonymous, number: int) -> dict:
    return anonymous.read(f"/registry/v/{number}/registry.json")
