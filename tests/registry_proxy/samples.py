"""A small registry of our own making: two models each of two providers, one of a third."""

import copy
import json
from functools import cache
from pathlib import Path

import registry_proxy

_DATA = Path(__file__).parent / "data"
_BUNDLED = Path(registry_proxy.__file__).parent / "bundled_registry"
PROVIDERS = ("anthropic", "google", "openai")
MINI = "openai:gpt-4o-mini"


@cache
def body(path: str) -> bytes:
    return (_DATA / path).read_bytes()


def documents() -> dict[str, dict]:
    """The provider documents by provider."""
    return {name: json.loads(body(f"{name}/models.json")) for name in PROVIDERS}


def files() -> dict[str, bytes]:
    """Everything upstream publishes: the manifest, the documents, archives 1 to their version."""
    return dict(_files())


@cache
def _files() -> dict[str, bytes]:
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


def real_files() -> dict[str, bytes]:
    """The provider files of the copy that ships with the server, for `publish(**…)`."""
    return {name: (_BUNDLED / name / "models.json").read_bytes() for name in PROVIDERS}


def real_models() -> dict[str, dict]:
    """The models of that copy by their keys."""
    return {
        key: entry
        for body in real_files().values()
        for key, entry in json.loads(body)["models"].items()
    }
