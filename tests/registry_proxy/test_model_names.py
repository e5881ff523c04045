from decimal import Decimal

import pytest

from registry_proxy.model_names import ModelIndex, find_twins, without_date
from tests.registry_proxy import samples


def model(price, aliases=(), **members):
    return {
        "dollars_per_million_tokens_input": price,
        "model_aliases": list(aliases),
        **members,
    }


MODELS = {
    "openai:gpt-4o": model(1),
    "openai:gpt-4o-2024-08-06": model(2, ["gpt-4o", "four-o", "bare", "slashed"]),
    "bare": model(3),
    "openai/slashed": model(4),
    "anthropic:opus-old": model(5, ["opus"], is_active=False),
    "anthropic:opus-new": model(6, ["opus"], is_active=True),
    "nocolon": model(7, ["short"], provider="other"),
    "openai:odd": model(8, model_aliases="text"),
    "openai:odder": model(9, model_aliases=[None, 7, ["x"]]),
}


@pytest.mark.parametrize(
    "provider, name, price",
    [
        ("openai", "gpt-4o", 1),
        ("anthropic", "openai:gpt-4o", 1),
        ("openai", "gpt-4o-2024-08-06", 2),
        ("openai", "four-o", 2),
        ("anything", "openai:four-o", 2),
        ("openai", "bare", 3),
        ("anything", "bare", 3),
        ("openai", "slashed", 4),
        ("anthropic", "opus-old", 5),
        ("anthropic", "opus", 6),
        ("other", "short", 7),
    ],
    ids=[
        "provider and model",
        "a model that names its provider",
        "full name",
        "alias",
        "alias with provider",
        "bare key before alias",
        "bare key for any provider",
        "provider/model before alias",
        "inactive models are priced",
        "an alias goes to the active model",
        "alias of a key without provider",
    ],
)
def test_contract_names_are_found(provider, name, price):
    assert ModelIndex(MODELS).lookup(provider, name).prices.standard["input"] == price


@pytest.mark.parametrize(
    "provider, name",
    [
        ("google", "gpt-4o"),
        ("google", "four-o"),
        ("openai", ""),
        ("", ""),
        ("openai", "t"),
        ("openai", "\x00"),
        ("openai", "openai/"),
        ("openai", "/".join(["openai"] * 60)),
    ],
    ids=[
        "other provider",
        "alias of another provider",
        "no model",
        "nothing",
        "part of a name",
        "NUL",
        "prefix alone",
        "prefixes alone",
    ],
)
def test_what_names_no_model_is_not_found(provider, name):
    assert ModelIndex(MODELS).lookup(provider, name) is None


@pytest.fixture(scope="module")
def index():
    return ModelIndex(samples.real_models())


HAIKU = "anthropic:claude-haiku-4-5-20251001"


@pytest.mark.parametrize(
    "provider, name, key",
    [
        # exact, listed alias
        ("openai", "gpt-4o", "openai:gpt-4o"),
        ("openai", "gpt-4o-2024-05-13", "openai:gpt-4o-2024-05-13"),
        ("openai", "gpt-4o-2024-11-20", "openai:gpt-4o-2024-08-06"),
        ("anthropic", "claude-haiku-4-5", HAIKU),
        # provider prefix
        ("openai", "openai/gpt-4o", "openai:gpt-4o"),
        ("google", "models/gemini-2.5-flash", "google:gemini-2.5-flash"),
        ("gemini", "google/gemini-2.5-flash", "google:gemini-2.5-flash"),
        ("openrouter", "anthropic/claude-haiku-4-5", HAIKU),
        ("litellm", "openrouter/anthropic/claude-haiku-4-5", HAIKU),
        ("vertex_ai", "publishers/google/models/gemini-2.5-pro", "google:gemini-2.5-pro"),
        ("anything", "OpenAI:gpt-4o", "openai:gpt-4o"),
        # letter case
        ("openai", "GPT-4O-MINI", "openai:gpt-4o-mini"),
        ("Anthropic", "Claude-Haiku-4-5", HAIKU),
        # provider synonyms
        ("OpenAI", "gpt-4o", "openai:gpt-4o"),
        ("azure", "gpt-4o", "openai:gpt-4o"),
        ("azure.ai.openai", "gpt-4o", "openai:gpt-4o"),
        ("gemini", "gemini-2.5-flash", "google:gemini-2.5-flash"),
        ("vertex_ai", "gemini-2.5-flash", "google:gemini-2.5-flash"),
        ("google-vertex", "gemini-2.5-flash", "google:gemini-2.5-flash"),
        ("gcp.vertex_ai", "claude-haiku-4-5", HAIKU),
        ("", "gpt-4o", "openai:gpt-4o"),
        ("", "claude-haiku-4-5", HAIKU),
        ("", "google/gemini-2.5-flash", "google:gemini-2.5-flash"),
        # one trailing date
        ("anthropic", "claude-sonnet-4-6-20260217", "anthropic:claude-sonnet-4-6"),
        ("openai", "gpt-5.1-2025-11-13", "openai:gpt-5.1"),
        ("vertex_ai", "claude-haiku-4-5@20251001", HAIKU),
        ("vertex_ai", "claude-3-haiku@20240307", "anthropic:claude-3-haiku-20240307"),
        # one Bedrock wrapping
        ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", HAIKU),
        ("Bedrock", "US.Anthropic.Claude-Haiku-4-5-20251001-V1:0", HAIKU),
        ("aws.bedrock", "anthropic.claude-opus-4-6-v1", "anthropic:claude-opus-4-6"),
        (
            "bedrock",
            "global.anthropic.claude-sonnet-4-6-20260217-v1:0",
            "anthropic:claude-sonnet-4-6",
        ),
        ("", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", HAIKU),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            HAIKU,
        ),
    ],
)
def test_names_are_resolved(index, provider, name, key):
    assert index.lookup(provider, name).key == key


@pytest.mark.parametrize(
    "provider, name",
    [
        ("openai", "ft:gpt-4o-mini:acme::abc123"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123"),
        ("openai", "gpt-4o-mini-tts"),
        ("openai", "gpt-4o-mini-audio"),
        ("openai", "gpt-5.6"),
        ("openai", "gpt"),
        ("openai", "chatgpt-4o-latest"),
        ("openai", "gpt-4o-2024-13-45"),
        ("openai", "gpt-4o-20260217-20260217"),
        ("openai", "gpt-4o@latest"),
        ("google", "gemini-2.5-flash-tuned"),
        ("google", "gpt-4o"),
        ("anthropic", "claude-3-opus"),
        ("bedrock", "us.meta.llama3-70b-instruct-v1:0"),
        ("bedrock", "us.us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("mycompany", "gpt-4o"),
        ("mycompany", "internal/openai/gpt-4o"),
    ],
)
def test_shorter_prefixes_and_variants_are_not_the_model(index, provider, name):
    assert index.lookup(provider, name) is None


def test_a_name_that_several_providers_have_needs_its_provider():
    shared = ModelIndex({"a:one": model(1), "b:one": model(2), "b:two": model(3)})
    assert shared.lookup("", "one") is None
    assert shared.lookup("", "two").key == "b:two"
    assert shared.lookup("B", "ONE").key == "b:one"


def test_of_two_spellings_the_providers_wins(index):
    """The registry's `openai:GPT-4o` has output at 2.5; the model costs 10."""
    for name in ("gpt-4o", "GPT-4o"):
        match = index.lookup("openai", name)
        assert match.key == "openai:gpt-4o"
        assert match.prices.standard["output"] == Decimal("10.0")
    assert [twin.suspect for twin in index.twins] == ["openai:GPT-4.1", "openai:GPT-4o"]
    assert find_twins({"a:B": {}, "a:C": {}, "a:c": {}})[0].preferred == "a:c"


def test_a_dated_entry_takes_missing_prices_from_its_undated_sibling(index):
    dated = index.lookup("openai", "gpt-5-mini-2025-08-07")
    assert dated.key == "openai:gpt-5-mini-2025-08-07"
    assert dated.prices.standard["cache_read"] == Decimal("0.025")
    older = index.lookup("openai", "gpt-4o-2024-05-13")
    assert older.prices.standard["input"] == Decimal("5.0"), "its own price stays"


@pytest.mark.parametrize(
    "name, expected",
    [
        ("m-20260217", "m"),
        ("m-2026-02-17", "m"),
        ("m@20251001", "m"),
        ("m-2026-0217", None),
        ("m-20261301", None),
        ("m-0613", None),
        ("20260217", None),
        ("-20260217", None),
        ("m", None),
    ],
)
def test_without_date(name, expected):
    assert without_date(name) == expected
