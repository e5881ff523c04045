"""The model registry that both servers read during a run, on loopback."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import free_port, running, wait_for

PROVIDERS = ("openai", "anthropic", "google")
MODELS_PER_PROVIDER = 30


@contextmanager
def served_registry(pages: Path | None, *, scratch: Path) -> Iterator[str]:
    """Yield the base address of a registry: that in `pages`, or a small one made for the run."""
    if pages is None:
        pages = write_registry(scratch / "registry")
    port, log = free_port(), scratch / "registry.log"
    command = [sys.executable, "-m", "http.server", "--protocol", "HTTP/1.1"]
    command += ["--bind", "127.0.0.1", "--directory", str(pages.resolve()), str(port)]
    with running(command, log=log) as pid:
        url = f"http://127.0.0.1:{port}/"
        wait_for(url + "manifest.json", pid=pid, log=log)
        yield url


def write_registry(pages: Path) -> Path:
    """Write a registry in the published layout, with the model that the cases log."""
    pages.mkdir()
    (pages / "manifest.json").write_text(json.dumps(manifest()))
    for provider in PROVIDERS:
        (pages / provider).mkdir()
        (pages / provider / "models.json").write_text(json.dumps(provider_file(provider)))
    return pages


def manifest() -> dict:
    files = {
        provider: {"file": f"{provider}/models.json", "model_count": MODELS_PER_PROVIDER}
        for provider in PROVIDERS
    }
    return {
        "version": "2026-01-01",
        "updated_at": "2026-01-01T00:00:00Z",
        "schema_version": "3.5",
        "providers": files,
    }


def provider_file(provider: str) -> dict:
    names = ["gpt-4o-mini"] if provider == "openai" else []
    names += [f"{provider}-model-{number}" for number in range(MODELS_PER_PROVIDER - len(names))]
    models = {f"{provider}:{name}": model(provider, name) for name in names}
    return {
        "provider": provider,
        "version": 1,
        "updated_at": "2026-01-01T00:00:00Z",
        "models": models,
    }


def model(provider: str, name: str) -> dict:
    return {
        "provider": provider,
        "model_name": name,
        "display_name": name.title(),
        "description": f"{name}, as the benchmark's own registry has it.",
        "max_input_tokens": 128_000,
        "max_output_tokens": 16_000,
        "dollars_per_million_tokens_input": 0.15,
        "dollars_per_million_tokens_output": 0.6,
        "dollars_per_million_tokens_cached_input": 0.075,
        "supports_vision": True,
        "supports_function_calling": True,
        "supports_json_mode": True,
        "supports_parallel_tool_calls": True,
        "is_active": True,
    }
