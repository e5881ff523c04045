"""The document in which this server publishes the whole registry.

It combines every shape that clients expect: a flat map of models by `provider:model`
with all upstream members, and under each provider a short list of its models.
Source: docs/http-contract.md, section "Registry".
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

# Name, base address and model list of each provider; upstream does not publish these.
_PROVIDERS = {
    "anthropic": ("Anthropic", "https://api.anthropic.com", None),
    "google": ("Google", "https://generativelanguage.googleapis.com", "/v1/models"),
    "openai": ("OpenAI", "https://api.openai.com/v1", "/models"),
}


def build(
    documents: Mapping[str, Mapping],
    *,
    version: str,
    snapshot: str | None,
    generated_at: datetime | None,
) -> dict:
    """Return the registry document of these provider documents.

    `version` is upstream's name of this state, `snapshot` its permanent name on this server.
    """
    generated = generated_at and _isoformat(generated_at)
    return {
        "version": version,
        "snapshot": snapshot,
        "generated": generated,
        "generated_at": generated,
        "models": models(documents),
        "providers": {
            provider: _provider(provider, document) for provider, document in documents.items()
        },
    }


def made_at(documents: Mapping[str, Mapping]) -> datetime | None:
    """Return when upstream last updated one of the documents; None if none has a time."""
    times = [parse_time(document.get("updated_at")) for document in documents.values()]
    return max(filter(None, times), default=None)


def models(documents: Mapping[str, Mapping]) -> dict[str, dict]:
    """Return all models by upstream key, with defaults for the members that clients need."""
    return {
        key: _model(provider, key, entry, document.get("updated_at"))
        for provider, document in documents.items()
        for key, entry in document["models"].items()
    }


def add_inactive_from(models: Mapping[str, dict], deactivated_at: Mapping[str, datetime]) -> None:
    """Add `inactive_from` to inactive models for which upstream does not state it."""
    for key, time in deactivated_at.items():
        model = models.get(key)
        if model and model["is_active"] is False and model["inactive_from"] is None:
            model["inactive_from"] = _isoformat(time)


def filter_models(
    document: Mapping, *, providers: Iterable[str], capabilities: Iterable[str]
) -> dict:
    """Return the document with the models of these providers that have all these capabilities.

    A capability `x` is the member `supports_x`, else the member `x`; it must be
    true. No providers means all of them. The map of providers stays complete.
    """
    providers, capabilities = frozenset(providers), tuple(capabilities)
    return {
        **document,
        "models": {
            key: model
            for key, model in document["models"].items()
            if (not providers or model["provider"] in providers)
            and all(_has(model, capability) for capability in capabilities)
        },
    }


def _has(model: Mapping, capability: str) -> bool:
    return bool(model.get(f"supports_{capability}", model.get(capability)))


def _model(provider: str, key: str, entry: Mapping, updated_at: object) -> dict:
    name = _text(entry.get("model_name")) or _unprefixed(key)
    limit = _input_limit(entry)
    return {
        "description": None,
        "max_output_tokens": None,
        "supports_vision": False,
        "supports_function_calling": False,
        "supports_json_mode": False,
        "supports_parallel_tool_calls": False,
        "tool_call_format": None,
        "dollars_per_million_tokens_input": None,
        "dollars_per_million_tokens_output": None,
        "is_active": True,
        "inactive_from": _utc(entry.get("deprecated_date")),
        "created_at": _utc(entry.get("added_date") or entry.get("release_date")),
        "updated_at": _utc(updated_at),
        **entry,
        "provider": _text(entry.get("provider")) or provider,
        "model_name": name,
        "display_name": _text(entry.get("display_name")) or name,
        "max_input_tokens": limit,
        "max_context": limit,
    }


def _provider(provider: str, document: Mapping) -> dict:
    name, base_url, models_endpoint = _PROVIDERS.get(provider, (provider.title(), None, None))
    return {
        "name": name,
        "base_url": base_url,
        "models_endpoint": models_endpoint,
        "version": document.get("version"),
        "updated_at": _utc(document.get("updated_at")),
        "models": {
            _unprefixed(key): {
                "name": _text(entry.get("model_name")) or _unprefixed(key),
                "max_input_tokens": _input_limit(entry),
                "max_output_tokens": entry.get("max_output_tokens"),
                "dollars_per_million_input_tokens": entry.get("dollars_per_million_tokens_input"),
                "dollars_per_million_output_tokens": entry.get("dollars_per_million_tokens_output"),
            }
            for key, entry in document["models"].items()
        },
    }


def _unprefixed(key: str) -> str:
    return key.split(":", 1)[-1]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _input_limit(entry: Mapping) -> object:
    """Return the limit in tokens; the first archives called it `context_window_tokens`."""
    limit = entry.get("max_input_tokens")
    return entry.get("context_window_tokens") if limit is None else limit


def _utc(text: object) -> str | None:
    time = parse_time(text)
    return None if time is None else _isoformat(time)


def parse_time(text: object) -> datetime | None:
    """Return an upstream date or time; without an offset it is UTC. None if it is neither."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _isoformat(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
