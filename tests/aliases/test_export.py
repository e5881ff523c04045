"""`GET /aliases/export` in the shape of the client's lockfile."""

import tomllib

import pytest

from aliases.models import AliasBinding
from tests.aliases.test_aliases import bind

EXPORT = "/api/v1/aliases/export"


def test_lockfile_has_every_profile_with_ordered_models(api):
    first = bind(api, "fast", "openai:a, google:b")
    constraints = {"max_cost": 1, "region": None}
    bind(api, "deep", "openai:c", profile="dev", metadata={"constraints": constraints, "x": 1})
    last = bind(api, "cheap", "openai:d")
    result = api.read(EXPORT)
    assert result == {
        "version": "1.0",
        "created_at": first["created_at"].replace("Z", "+00:00"),
        "updated_at": last["updated_at"].replace("Z", "+00:00"),
        "default_profile": "default",
        "metadata": {"source": "llmring-server"},
        "profiles": {
            "default": {
                "name": "default",
                "bindings": [
                    {"alias": "cheap", "models": ["openai:d"]},
                    {"alias": "fast", "models": ["openai:a", "google:b"]},
                ],
                "registry_versions": {},
            },
            "dev": {
                "name": "dev",
                "bindings": [{"alias": "deep", "models": ["openai:c"], "constraints": constraints}],
                "registry_versions": {},
            },
        },
    }
    toml = tomllib.loads(api.get(EXPORT, {"format": "toml"}).content.decode())
    del result["profiles"]["dev"]["bindings"][0]["constraints"]["region"]  # TOML has no null
    assert toml == result


@pytest.mark.parametrize("models", ["openai:a,", ",openai:a", " openai:a , ,"])
def test_comma_too_many_names_no_model(api, models):
    row = bind(api, "fast", models)
    [binding] = api.read(EXPORT)["profiles"]["default"]["bindings"]
    assert (row["model"], binding["models"]) == (models, ["openai:a"])
    of_project = AliasBinding.objects.models_of(api.project.id)
    assert of_project == {("default", "fast"): "openai:a"}


def test_one_profile_becomes_the_default_one(api):
    bind(api, "fast", "openai:a", profile="prod")
    bind(api, "fast", "openai:b")
    result = api.read(EXPORT, {"profile": "prod"})
    assert result["default_profile"] == "prod"
    assert list(result["profiles"]) == ["prod"]


def test_no_aliases_are_an_empty_profile(api, other_api):
    bind(other_api, "fast", "openai:a")
    assert api.read(EXPORT)["profiles"]["default"]["bindings"] == []


@pytest.mark.parametrize("query", [{"format": "yaml"}, {"profile": "x" * 65}])
def test_bad_query_is_refused(api, query):
    api.read(EXPORT, query, expect=422)
