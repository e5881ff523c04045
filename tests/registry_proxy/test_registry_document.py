from datetime import UTC, datetime

import pytest

from registry_proxy.registry_document import build, filter_models
from tests.registry_proxy import samples

pytestmark = pytest.mark.django_db(transaction=True)

TAKEN = datetime(2026, 8, 19, 4, 5, 6, 789000, tzinfo=UTC)


def document():
    return build(
        samples.documents(), version="2025-08-20", snapshot="2026.08.19", generated_at=TAKEN
    )


def test_top_level_names_version_snapshot_and_time():
    result = document()
    del result["models"], result["providers"]
    assert result == {
        "version": "2025-08-20",
        "snapshot": "2026.08.19",
        "generated": "2026-08-19T04:05:06.789000Z",
        "generated_at": "2026-08-19T04:05:06.789000Z",
    }


def test_model_has_everything_upstream_says_and_the_members_clients_expect():
    key = "openai:gpt-4o-mini"
    upstream = samples.documents()["openai"]["models"][key]
    assert document()["models"][key] == {
        **upstream,
        "max_context": 128000,
        "inactive_from": None,
        "created_at": None,
        "updated_at": "2026-08-18T17:29:16.542543Z",
    }


def test_dates_become_times():
    model = document()["models"]["anthropic:claude-opus-4-1-20250805"]
    assert model["created_at"] == "2025-08-05T00:00:00Z"
    assert model["inactive_from"] == "2026-08-05T00:00:00Z"


def test_first_archives_name_of_the_input_limit_is_understood():
    model = document()["models"]["google:gemini-2.5-flash"]
    assert model["max_input_tokens"] == model["max_context"] == 1048576


def test_members_upstream_leaves_out_are_filled_in():
    documents = {"acme": {"models": {"acme:one": {"model_name": 5, "deprecated_date": "soon"}}}}
    result = build(documents, version="", snapshot=None, generated_at=TAKEN)
    assert result["models"]["acme:one"] == {
        "provider": "acme",
        "model_name": "one",
        "display_name": "one",
        "description": None,
        "max_input_tokens": None,
        "max_context": None,
        "max_output_tokens": None,
        "supports_vision": False,
        "supports_function_calling": False,
        "supports_json_mode": False,
        "supports_parallel_tool_calls": False,
        "tool_call_format": None,
        "dollars_per_million_tokens_input": None,
        "dollars_per_million_tokens_output": None,
        "is_active": True,
        "inactive_from": None,
        "created_at": None,
        "updated_at": None,
        "deprecated_date": "soon",
    }
    assert result["providers"]["acme"]["name"] == "Acme"


def test_providers_have_both_old_shapes():
    assert document()["providers"]["google"] == {
        "name": "Google",
        "base_url": "https://generativelanguage.googleapis.com",
        "models_endpoint": "/v1/models",
        "version": 1,
        "updated_at": "2026-08-18T17:30:40.820947Z",
        "models": {
            "gemini-2.5-flash": {
                "name": "gemini-2.5-flash",
                "max_input_tokens": 1048576,
                "max_output_tokens": 65536,
                "dollars_per_million_input_tokens": 0.3,
                "dollars_per_million_output_tokens": 2.5,
            }
        },
    }


MINI, GPT = "openai:gpt-4o-mini", "openai:gpt-4.1"
SONNET = "anthropic:claude-sonnet-4-5-20250929"
OPUS, FLASH = "anthropic:claude-opus-4-1-20250805", "google:gemini-2.5-flash"


@pytest.mark.parametrize(
    "providers, capabilities, models",
    [
        ([], [], {MINI, GPT, SONNET, OPUS, FLASH}),
        (["openai"], [], {MINI, GPT}),
        (["openai", "google"], [], {MINI, GPT, FLASH}),
        (["OpenAI"], [], set()),
        ([], ["vision"], {MINI, SONNET, OPUS, FLASH}),
        ([], ["supports_vision"], {MINI, SONNET, OPUS, FLASH}),
        ([], ["vision", "json_mode"], {MINI, SONNET, FLASH}),
        ([], ["parallel_tool_calls", "function_calling"], {MINI, GPT, SONNET, OPUS}),
        ([], ["caching"], {MINI}),
        ([], ["display_name"], {MINI, GPT, SONNET, OPUS, FLASH}),
        ([], ["telepathy"], set()),
        (["anthropic"], ["is_active"], {SONNET}),
    ],
)
def test_filter_keeps_models_that_have_all(providers, capabilities, models):
    result = filter_models(document(), providers=providers, capabilities=capabilities)
    assert result["models"].keys() == models
    assert result["providers"] == document()["providers"]
