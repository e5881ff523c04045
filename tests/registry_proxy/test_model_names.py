import pytest

from registry_proxy.model_names import ModelIndex


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
def test_lookup_finds(provider, name, price):
    assert ModelIndex(MODELS).lookup(provider, name).input == price


@pytest.mark.parametrize(
    "provider, name",
    [
        ("openai", "GPT-4o"),
        ("google", "gpt-4o"),
        ("google", "four-o"),
        ("openai", ""),
        ("", ""),
        ("openai", "t"),
    ],
    ids=[
        "other case",
        "other provider",
        "alias of another provider",
        "no model",
        "nothing",
        "junk",
    ],
)
def test_lookup_finds_nothing(provider, name):
    assert ModelIndex(MODELS).lookup(provider, name) is None
