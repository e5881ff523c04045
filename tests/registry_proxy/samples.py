"""A small registry of our own making: two models each of two providers, one of a third."""

import copy
import json
from pathlib import Path

_DATA = Path(__file__).parent / "data"
PROVIDERS = ("anthropic", "google", "openai")
MINI = "openai:gpt-4o-mini"


def body(path: str) -> bytes:
    return (_DATA / path).read_bytes()


def documents() -> dict[str, dict]:
    """The provider documents by provider."""
    return {name: json.loads(body(f"{name}/models.json")) for name in PROVIDERS}


def files() -> dict[str, bytes]:
    """Everything upstream publishes: the manifest, the documents, archives 1 to their version."""
    published = {"manifest.json": body("manifest.json")}
    for name, document in documents().items():
        published[f"{name}/models.json"] = body(f"{name}/models.json")
        for number in range(1, document["version"] + 1):
            published[f"{name}/v/{number}/models.json"] = archive(name, number)
    return published


def archive(provider: str, number: int) -> bytes:
    """Archive 1 has the provider's first model, later ones have them all, at `number` dollars."""
    document = documents()[provider] | {"version": number}
    if number == 1:
        document["models"] = dict(list(document["models"].items())[:1])
    for model in document["models"].values():
        model["dollars_per_million_tokens_input"] = float(number)
    return json.dumps(document).encode()


def changed(provider: str, model: str, **members) -> bytes:
    """The provider's file with these members of a model replaced."""
    document = copy.deepcopy(documents()[provider])
    document["models"][model] |= members
    return json.dumps(document).encode()
