import pytest

from core import conditional
from registry_proxy.models import Snapshot
from tests.registry_proxy import samples
from tests.usage.calls import BOTH_WAYS

pytestmark = pytest.mark.django_db(transaction=True)

SPELLINGS = ["/registry", "/registry/", "/registry.json", "/registry.json/"]


@BOTH_WAYS
@pytest.mark.parametrize("path", SPELLINGS)
def test_registry_is_public_under_all_its_names(anonymous, refreshed, path):
    refreshed(8, 19)
    response = anonymous.get(path)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "public, max-age=3600"
    body = response.json()
    assert body["version"] == "2025-08-20"
    assert body["snapshot"] == "2026.08.19"
    # When upstream made the prices, not when they were fetched.
    assert body["generated_at"] == body["generated"] == "2026-08-18T21:05:03.715411Z"
    assert len(body["models"]) == 5
    assert body["models"]["openai:gpt-4o-mini"]["max_context"] == 128000
    assert body["providers"]["openai"]["version"] == 2


def test_a_malformed_key_does_not_matter(anonymous, refreshed):
    refreshed(8, 19)
    assert anonymous.get("/registry?version=", HTTP_X_API_KEY="a b").status_code == 200


@BOTH_WAYS
@pytest.mark.parametrize(
    "form", ["{etag}", "W/{etag}", '"other", {etag}', '"a",W/{etag} , "b"', "*"]
)
def test_a_current_copy_is_answered_with_304(anonymous, refreshed, form):
    refreshed(8, 19)
    first = anonymous.get("/registry")
    tags = form.format(etag=first["ETag"])
    response = anonymous.get("/registry", HTTP_IF_NONE_MATCH=tags)
    assert (response.status_code, response.content) == (304, b"")
    assert not {"content-type", "content-length"} & {name.lower() for name in response.headers}
    assert response["ETag"] == ("W/" if "W/" in form else "") + first["ETag"]
    assert response["Cache-Control"] == "public, max-age=3600"
    assert "Accept-Encoding" in response["Vary"]


MANY_TAGS = ", ".join(f'"{number}"' for number in range(5_000))


@pytest.mark.parametrize(
    ("tags", "statuses"), [(f"{MANY_TAGS}, {{etag}}", (304, 200)), (MANY_TAGS, (200, 412))]
)
def test_a_tag_is_found_among_very_many(anonymous, refreshed, monkeypatch, tags, statuses):
    """Those that cannot be meant are not even given to Django, which reads each for some time."""
    read = []
    conditional_response = conditional.get_conditional_response

    def noting(request, **options):
        read.append(max(len(value) for name, value in request.META.items() if "MATCH" in name))
        return conditional_response(request, **options)

    monkeypatch.setattr(conditional, "get_conditional_response", noting)
    refreshed(8, 19)
    tags = tags.format(etag=anonymous.get("/registry")["ETag"])
    got = anonymous.get("/registry", HTTP_IF_NONE_MATCH=tags).status_code
    matched = anonymous.get("/registry", HTTP_IF_MATCH=tags).status_code
    assert (got, matched) == statuses
    assert len(tags) > 30_000 and max(read) < 1_000


@pytest.mark.parametrize("path", ["/registry", "/registry?providers=openai"], ids=["edge", "view"])
def test_a_failed_if_match_has_no_body_and_so_no_type(anonymous, refreshed, path):
    refreshed(8, 19)
    response = anonymous.get(path, HTTP_IF_MATCH='"other"')
    assert (response.status_code, response.content) == (412, b"")
    assert not response.has_header("Content-Type")


@pytest.mark.parametrize("path", ["/registry", "/registry?providers=openai"], ids=["edge", "view"])
@pytest.mark.parametrize("header", ["HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_MODIFIED_SINCE"])
def test_conditions_on_a_date_are_ignored(anonymous, refreshed, header, path):
    """RFC 9110, section 13.1.4: the registry has no Last-Modified."""
    refreshed(8, 19)
    for date in ("Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2050 00:00:00 GMT"):
        assert anonymous.get(path, **{header: date}).status_code == 200


@pytest.mark.parametrize("tags", ['"other"', "", "unquoted", '"', ",,,", '""', "\x7f"])
def test_another_copy_is_answered_in_full(anonymous, refreshed, tags):
    refreshed(8, 19)
    assert anonymous.get("/registry", HTTP_IF_NONE_MATCH=tags).status_code == 200


def test_every_representation_has_its_own_etag(anonymous, refreshed):
    refreshed(8, 19)
    paths = [
        "/registry",
        "/registry?providers=openai",
        "/registry?providers=google",
        "/registry?capabilities=vision",
        "/registry/manifest.json",
        "/registry/changelog",
    ]
    etags = [anonymous.get(path)["ETag"] for path in paths]
    assert len(set(etags)) == len(paths)
    assert all(etag.startswith('"') and etag.endswith('"') for etag in etags)
    for path, etag in zip(paths, etags, strict=True):
        assert anonymous.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 304


def test_etag_changes_with_the_content_though_the_version_does_not(anonymous, refreshed):
    refreshed(8, 19)
    before = anonymous.get("/registry")
    price = {"dollars_per_million_tokens_input": 0.1}
    refreshed(8, 20, openai=samples.changed("openai", samples.MINI, **price))
    after = anonymous.get("/registry", HTTP_IF_NONE_MATCH=before["ETag"])
    assert after.status_code == 200
    assert after.json()["version"] == before.json()["version"]
    assert after.json()["models"][samples.MINI]["dollars_per_million_tokens_input"] == 0.1


@pytest.mark.parametrize(
    "query, models",
    [
        ({"providers": "openai"}, 2),
        ({"providers": "openai, google"}, 3),
        ({"providers": " openai ,,"}, 2),
        ({"providers": ""}, 5),
        ({"providers": ","}, 5),
        ({"providers": "nobody"}, 0),
        ({"capabilities": "vision"}, 4),
        ({"capabilities": "vision, json_mode"}, 3),
        ({"capabilities": "", "providers": ""}, 5),
        ({"capabilities": "telepathy"}, 0),
        ({"providers": "anthropic", "capabilities": "json_mode"}, 1),
        ({"version": "2026.08.19", "providers": "anthropic"}, 2),
        ({"version": "", "unknown": "x"}, 5),
    ],
)
def test_filters(anonymous, refreshed, query, models):
    refreshed(8, 19)
    body = anonymous.read("/registry.json", query)
    assert len(body["models"]) == models
    assert sorted(body["providers"]) == ["anthropic", "google", "openai"]


@pytest.mark.parametrize(
    "query",
    [
        "providers=%00",
        "version=%00",
        "capabilities=%00",
        "version=%ff%fe",
        "version=" + "9" * 5000,
        "version=../../etc",
        "version=%F0%9F%92%B0",
        "providers=" + "a," * 5000,
        "capabilities=" + "is_active," * 5000,
        "version=2026.08.19&version=2026.08.20",
        "%",
        "&&&==",
    ],
)
def test_junk_queries_never_fail_the_server(anonymous, refreshed, query):
    refreshed(8, 19)
    assert anonymous.get(f"/registry?{query}").status_code in (200, 404, 422)


def test_other_verbs_are_refused(anonymous, refreshed):
    refreshed(8, 19)
    assert anonymous.head("/registry").status_code == 200
    assert anonymous.send("POST", "/registry", expect=405) == {"detail": "Method Not Allowed"}


@pytest.mark.parametrize(
    "path",
    [
        "/registry",
        "/registry?providers=openai",
        "/registry?version=2026.08.19",
        "/registry/v/1/registry.json",
        "/registry/changelog",
        "/registry/manifest.json",
        "/registry/openai/models.json",
        "/registry/openai/v/1/models.json",
    ],
)
def test_before_upstream_was_ever_reached_every_route_says_so(anonymous, path):
    response = anonymous.get(path)
    assert response.status_code == 503
    assert response.json() == {"detail": "The model registry could not be fetched yet; try again"}
    assert response["Retry-After"] == "15"


def test_first_request_of_all_fetches_the_registry(anonymous, upstream):
    upstream.publish()
    assert len(anonymous.read("/registry")["models"]) == 5
    assert Snapshot.objects.count() == 1
    upstream.requests.clear()
    anonymous.read("/registry")
    assert upstream.requests == []
