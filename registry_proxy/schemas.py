"""Queries and replies about the registry."""

from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from core.schemas import Schema, Text, example


def _words(value: str) -> tuple[str, ...]:
    words = (word.strip() for word in value.split(","))
    return tuple(dict.fromkeys(word for word in words if word))


# Words separated by commas, blanks around them ignored, each word once.
Words = Annotated[tuple[Text, ...], BeforeValidator(_words), WithJsonSchema({"type": "string"})]


class RegistryQuery(Schema):
    version: Text = Field(
        "", description="A snapshot such as `2026.08.18`, an archive number, or upstream's version."
    )
    providers: Words = Field((), description="Providers, separated by commas; empty for all.")
    capabilities: Words = Field(
        (), description="What models must support, separated by commas: `vision`, `json_mode`, …"
    )


class ChangelogQuery(Schema):
    since: str = Field(
        "", description="Only versions after this one, a snapshot or upstream's, or this day."
    )
    limit: int = Field(20, ge=1, le=100, description="Maximum number of versions.")


_PRICES = {
    "dollars_per_million_tokens_input": 0.15,
    "dollars_per_million_tokens_output": 0.6,
    "dollars_per_million_tokens_cached_input": 0.075,
}
_MODEL = {
    "provider": "openai",
    "model_name": "gpt-4o-mini",
    "display_name": "GPT-4o mini",
    "max_input_tokens": 128000,
    "max_output_tokens": 16000,
    "max_context": 128000,
    **_PRICES,
    "supports_vision": True,
    "is_active": True,
}
_PROVIDER = {
    "name": "OpenAI",
    "base_url": "https://api.openai.com/v1",
    "models_endpoint": "/models",
    "version": 7,
    "models": {
        "gpt-4o-mini": {
            "name": "gpt-4o-mini",
            "max_input_tokens": 128000,
            "max_output_tokens": 16000,
            "dollars_per_million_input_tokens": 0.15,
            "dollars_per_million_output_tokens": 0.6,
        }
    },
}


class _Published(Schema):
    """Members that upstream adds are passed on."""

    model_config = ConfigDict(extra="allow")


class Registry(_Published):
    """All models, their prices and capabilities. Prices are US dollars per million tokens."""

    model_config = example(
        {
            "version": "2025-08-20",
            "snapshot": "2026.08.18",
            "generated": "2026-08-18T21:30:00Z",
            "generated_at": "2026-08-18T21:30:00Z",
            "models": {"openai:gpt-4o-mini": _MODEL},
            "providers": {"openai": _PROVIDER},
        }
    )

    version: str = Field(description="Upstream's version.")
    snapshot: str | None = Field(description="Permanent name of this state on this server.")
    generated: str | None
    generated_at: str | None = Field(description="When upstream made the prices.")
    models: dict[str, dict[str, Any]] = Field(description="By `provider:model`.")
    providers: dict[str, dict[str, Any]]


class RegistryManifest(_Published):
    model_config = example(
        {"version": "2025-08-20", "providers": {"openai": {"file": "openai/models.json"}}}
    )


class ProviderModels(_Published):
    """Upstream's file of a provider."""

    model_config = example(
        {
            "provider": "openai",
            "version": 7,
            "updated_at": "2026-08-18T17:29:16.542543",
            "models": {"openai:gpt-4o-mini": _MODEL},
        }
    )

    models: dict[str, dict[str, Any]]


class RegistryChange(Schema):
    change_type: str = Field(
        description="`added`, `removed`, `price_changed`, `deactivated`, `activated` or "
        "`field_changed`."
    )
    model: str
    field: str | None
    old_value: Any
    new_value: Any
    notes: str | None


class RegistryVersion(Schema):
    """The changes of one version."""

    version: str
    date: date
    entries: list[RegistryChange]


class Changelog(Schema):
    model_config = example(
        {
            "changes": [
                {
                    "version": "2026.08.18",
                    "date": "2026-08-18",
                    "entries": [
                        {
                            "change_type": "price_changed",
                            "model": "openai:gpt-4o-mini",
                            "field": "dollars_per_million_tokens_input",
                            "old_value": 0.2,
                            "new_value": 0.15,
                            "notes": None,
                        }
                    ],
                }
            ]
        }
    )

    changes: list[RegistryVersion] = Field(description="Newest first.")
