"""Binding, resolving, listing and removing aliases (contract, section 11)."""

import pytest

from aliases.models import AliasBinding

MODEL = "openai:gpt-4o-mini"


def bind(api, alias, model=MODEL, **members):
    return api.send("POST", "/api/v1/aliases/bind", {"alias": alias, "model": model, **members})


def names(api, **query):
    return [row["alias"] for row in api.read("/api/v1/aliases/", query)]


def test_bound_alias_is_read_listed_and_resolved(api):
    bound = bind(api, "a1", metadata={"x": [1]})
    assert bound == {
        "id": bound["id"],
        "project_id": str(api.project.id),
        "profile": "default",
        "alias": "a1",
        "model": MODEL,
        "metadata": {"x": [1]},
        "revision": 1,
        "created_at": bound["created_at"],
        "updated_at": bound["created_at"],
    }
    assert isinstance(bound["id"], int)
    for path in ("/api/v1/aliases", "/api/v1/aliases/"):
        assert api.read(path) == [bound]
    assert api.read("/api/v1/aliases/a1") == api.read("/api/v1/aliases/a1/?profile=") == bound
    assert api.read("/api/v1/aliases/resolve?alias=a1") == {"alias": "a1", "model": MODEL}


def test_both_header_names_open_the_same_aliases(api, anonymous):
    bind(api, "a1")
    for header in ("HTTP_X_PROJECT_KEY", "HTTP_X_API_KEY"):
        result = anonymous.read("/api/v1/aliases/", **{header: api.key})
        assert [row["alias"] for row in result] == ["a1"]
    anonymous.read("/api/v1/aliases/", expect=401)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/aliases", []),
        ("/api/v1/aliases/?since=0", []),
        ("/api/v1/aliases/?profile=dev", []),
        ("/api/v1/aliases/resolve?alias=a1", {"alias": "a1", "model": None}),
    ],
)
def test_key_that_has_not_written_yet_has_no_aliases(anonymous, path, expected, bridge_mode):
    anonymous.defaults["HTTP_X_API_KEY"] = "llmr_pk_" + "a" * 32
    assert anonymous.read(path) == expected
    assert anonymous.get(path).get("X-Alias-Revision", "0") == "0"


def test_key_that_has_not_written_yet_exports_an_empty_lockfile(anonymous, bridge_mode):
    anonymous.defaults["HTTP_X_API_KEY"] = "llmr_pk_" + "a" * 32
    first = anonymous.get("/api/v1/aliases/export")
    assert first.json()["profiles"]["default"]["bindings"] == []
    again = anonymous.get("/api/v1/aliases/export", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304


def test_binding_again_replaces_model_and_metadata(api):
    first = bind(api, "a1", metadata={"x": 1})
    second = bind(api, "a1", "anthropic:m")
    assert (second["model"], second["metadata"]) == ("anthropic:m", None)
    assert (second["id"], second["created_at"]) == (first["id"], first["created_at"])
    assert second["updated_at"] > first["updated_at"]


def test_put_takes_the_profile_from_its_body(api):
    put = api.send("PUT", "/api/v1/aliases/deep/er", {"model": MODEL, "profile": "dev"})
    assert (put["alias"], put["profile"]) == ("deep/er", "dev")
    assert api.read("/api/v1/aliases/deep/er?profile=dev") == put
    api.read("/api/v1/aliases/deep/er", expect=404)


def test_profiles_are_apart(api):
    for profile in (None, "", "dev", "prod"):
        bind(api, "a1", f"p:{profile or 'default'}", profile=profile)
    bind(api, "b1", profile="dev")
    assert names(api) == ["a1", "a1", "a1", "b1"]
    assert names(api, profile="") == names(api)
    assert names(api, profile="dev") == ["a1", "b1"]
    resolved = api.read("/api/v1/aliases/resolve", {"alias": "a1", "profile": "prod"})
    assert resolved["model"] == "p:prod"


def test_unknown_alias_is_404_but_resolves_to_null(api):
    """The older server answered 500 (B59); resolving: contract decision O9."""
    assert api.read("/api/v1/aliases/no", expect=404) == {"detail": "Alias not found"}
    assert api.read("/api/v1/aliases/resolve?alias=no") == {"alias": "no", "model": None}


def test_delete_says_whether_there_was_one(api):
    """The older server always said true (B59)."""
    bind(api, "a1", profile="dev")
    assert api.send("DELETE", "/api/v1/aliases/a1") == {"deleted": False}
    assert api.send("DELETE", "/api/v1/aliases/a1/?profile=dev") == {"deleted": True}
    assert api.send("DELETE", "/api/v1/aliases/a1?profile=dev") == {"deleted": False}
    api.read("/api/v1/aliases/a1?profile=dev", expect=404)
    assert names(api) == []
    again = bind(api, "a1", profile="dev")
    assert again["created_at"] == again["updated_at"]
    assert names(api) == ["a1"]


def test_aliases_of_another_project_are_not_found(api, other_api):
    bind(api, "a1")
    bind(other_api, "a1", "theirs:m")
    assert api.read("/api/v1/aliases/a1")["model"] == MODEL
    assert other_api.send("DELETE", "/api/v1/aliases/a1") == {"deleted": True}
    assert names(api) == ["a1"]
    other_api.read("/api/v1/aliases/a1", expect=404)


def bulk(api, body, query="", **extra):
    return api.send("POST", f"/api/v1/aliases/bulk_upsert{query}", body, **extra)


def test_bulk_upsert_is_what_the_older_client_pushes(api):
    items = [{"alias": name, "model": MODEL, "metadata": None} for name in ("b", "a")]
    assert bulk(api, items, "?profile=dev") == {"updated": 2}
    assert names(api, profile="dev") == ["a", "b"]
    assert {row["revision"] for row in api.read("/api/v1/aliases/")} == {1}
    bulk(api, [{"alias": "a", "model": "x:1"}, {"alias": "a", "model": "x:2", "profile": "no"}])
    assert api.read("/api/v1/aliases/a")["model"] == "x:2"


@pytest.mark.parametrize("body", [None, [], "null"])
def test_empty_bulk_changes_nothing(api, body):
    assert bulk(api, body) == {"updated": 0}
    assert api.get("/api/v1/aliases/")["X-Alias-Revision"] == "0"


@pytest.mark.parametrize(
    ("item", "type", "loc"),
    [
        ({"alias": "x"}, "missing", ["body", 1, "model"]),
        ({"alias": "x" * 65, "model": MODEL}, "string_too_long", ["body", 1, "alias"]),
        ({"alias": "x", "model": "m" * 256}, "string_too_long", ["body", 1, "model"]),
        ({"alias": "x", "model": " , "}, "no_model", ["body", 1, "model"]),
        ({"alias": "x", "model": MODEL, "metadata": []}, "dict_type", ["body", 1, "metadata"]),
        (5, "model_attributes_type", ["body", 1]),
    ],
)
def test_one_bad_item_binds_none(api, item, type, loc):
    error = bulk(api, [{"alias": "a", "model": MODEL}, item], expect=422)["detail"][0]
    assert (error["type"], error["loc"]) == (type, loc)
    assert not AliasBinding.objects.exists()


def test_bulk_of_an_object_is_refused(api):
    error = bulk(api, {"alias": "a", "model": MODEL}, expect=422)["detail"][0]
    assert (error["type"], error["loc"]) == ("list_type", ["body"])


@pytest.mark.parametrize(
    ("alias", "type"),
    [
        ("", "string_too_short"),
        (None, "string_type"),
        (7, "string_type"),
        ("a\x00", "null_character"),
        ("x" * 65, "string_too_long"),
        ("resolve", "reserved"),
        ("export", "reserved"),
        ("a/", "trailing_slash"),
    ],
)
def test_unusable_alias_is_refused(api, alias, type):
    body = {"alias": alias, "model": MODEL}
    error = api.send("POST", "/api/v1/aliases/bind", body, expect=422)["detail"]
    assert [(issue["type"], issue["loc"]) for issue in error] == [(type, ["body", "alias"])]


def test_unusable_paths_and_profiles_are_refused(api):
    long = "x" * 65
    body = {"model": MODEL}
    error = api.send("PUT", f"/api/v1/aliases/{long}", body, expect=422)["detail"][0]
    assert error["loc"] == ["path", "alias"]
    api.send("PUT", "/api/v1/aliases/a", {**body, "profile": long}, expect=422)
    api.send("PUT", "/api/v1/aliases/a%00b", body, expect=404)
    for path in ("a", "", "resolve", "export"):
        api.read(f"/api/v1/aliases/{path}", {"profile": long, "alias": "a"}, expect=422)
    api.read("/api/v1/aliases/resolve", expect=422)
    assert not AliasBinding.objects.exists()
