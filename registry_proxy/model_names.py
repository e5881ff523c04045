"""Finding the registry entry that a caller means by provider and model."""

from collections.abc import Mapping

from registry_proxy.prices import PriceEntry


class ModelIndex:
    """The price entries of one snapshot by every name that callers use for them.

    A model is found by `provider:model` (or by `model` alone when it already has a
    colon), then by the bare `model`, then by `provider/model`, and last by the
    aliases that the registry lists for the provider. Names are case-sensitive;
    inactive models keep their prices.
    Source: docs/http-contract.md, section "Cost".
    """

    def __init__(self, models: Mapping[str, Mapping]) -> None:
        self._entries = {key: PriceEntry.parse(entry) for key, entry in models.items()}
        self._index = self._entries | self._aliases(models)

    def lookup(self, provider: str, model: str) -> PriceEntry | None:
        """Return the model's prices; None for an unknown model. Usually one dict lookup."""
        entry = self._index.get(model if ":" in model else f"{provider}:{model}")
        if entry is not None:
            return entry
        return self._entries.get(model) or self._entries.get(f"{provider}/{model}")

    def _aliases(self, models: Mapping[str, Mapping]) -> dict[str, PriceEntry]:
        """Map `provider:alias` to entries, except aliases that are a model's own name."""
        aliases = {}
        # Where two models share an alias, the first active one has it.
        for key in sorted(models, key=lambda key: models[key].get("is_active") is False):
            provider = key.split(":", 1)[0] if ":" in key else models[key].get("provider")
            for alias in _listed_aliases(models[key]):
                names = (f"{provider}:{alias}", alias, f"{provider}/{alias}")
                if not any(name in models for name in names):
                    aliases.setdefault(names[0], self._entries[key])
        return aliases


def _listed_aliases(entry: Mapping) -> list[str]:
    aliases = entry.get("model_aliases")
    if not isinstance(aliases, list):
        return []
    return [alias for alias in aliases if isinstance(alias, str)]
