"""Finding the registry entry that a caller means by provider and model.

Providers, SDKs and exporters write one model in many ways. A name is resolved
by its exact spelling, a listed alias, a provider prefix, letter case, and
synonyms of the provider; then without one trailing date and one Bedrock
wrapping, and with a hyphen for the dot of a version. It is never resolved by a
shorter prefix: a fine-tuned or unknown variant has prices of its own.
Source: docs/http-contract.md, section "Model names".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.utils.functional import cached_property

from registry_proxy.ceilings import Ceiling, ceiling_of
from registry_proxy.prices import ModelPrices

# What clients, exporters and cloud platforms call the providers; OpenTelemetry's names too,
# those of today and those before.
_SYNONYMS = {
    "openai": ("openai",),
    "azure": ("openai", "anthropic"),
    "azure_openai": ("openai",),
    "azureopenai": ("openai",),
    "azure_ai": ("openai", "anthropic"),
    "azure.ai.openai": ("openai",),
    "azure.ai.inference": ("openai", "anthropic"),
    "az.ai.openai": ("openai",),
    "az.ai.inference": ("openai", "anthropic"),
    "text_completion_openai": ("openai",),
    "anthropic": ("anthropic",),
    "claude": ("anthropic",),
    "google": ("google",),
    "gemini": ("google",),
    "googleai": ("google",),
    "google_ai": ("google",),
    "google_ai_studio": ("google",),
    "google_genai": ("google",),
    "google_generativeai": ("google",),
    "google_gla": ("google",),
    "google_cloud": ("google", "anthropic"),
    "gcp.gemini": ("google",),
    "gcp.gen_ai": ("google", "anthropic"),
    "gcp.vertex_ai": ("google", "anthropic"),
    "vertex": ("google", "anthropic"),
    "vertexai": ("google", "anthropic"),
    "vertex_ai": ("google", "anthropic"),
    "vertex_ai_beta": ("google", "anthropic"),
    "google_vertex": ("google", "anthropic"),
    "google_vertexai": ("google", "anthropic"),
    "google_vertex_anthropic": ("anthropic",),
    "google_anthropic_vertex": ("anthropic",),
    "gcp.vertex.agent": ("google", "anthropic"),
    "bedrock": ("anthropic",),
    "bedrock_converse": ("anthropic",),
    "anthropic_bedrock": ("anthropic",),
    "aws": ("anthropic",),
    "aws_bedrock": ("anthropic",),
    "aws.bedrock": ("anthropic",),
    "amazon_bedrock": ("anthropic",),
}
# Segments before a name that say nothing about the provider: platforms and their routes,
# Bedrock's regions and Azure's global deployments, whose prices are the same, and Portkey's
# names of a key (`@team`).
_NEUTRAL_SEGMENT = re.compile(
    r"models|publishers|openrouter|litellm|converse|invoke|responses|global|global-standard"
    r"|[a-z]{2}(-gov)?-[a-z]+-\d|@.+",
    re.ASCII,
)
# The path of a model on Vertex AI.
_VERTEX_PATH = re.compile(r"projects/[^/]+/locations/[^/]+/")
_TRAILING_DATE = re.compile(r"(.+)[-@](\d{4})(-?)(\d{2})\3(\d{2})", re.ASCII)
# `us.anthropic.claude-…-v1:0`, also as the end of an inference profile's ARN.
_BEDROCK = re.compile(
    r"(?:arn:[^/]+/)?(?:[a-z]{2,6}(?:-gov)?\.)?(?P<vendor>[a-z0-9]+)\."
    r"(?P<model>[a-z].*?)(?:-v\d+)?(?::\d+(?:k|:\d+k)?)?",
    re.ASCII,
)
# The same without its vendor, as OpenLLMetry has it.
_BEDROCK_VERSION = re.compile(r"(?P<model>.+)-v\d+:\d+", re.ASCII)
# The newest version on Vertex AI; Claude Code's mark of a long context.
_SUFFIX = re.compile(r"(?P<model>.+)(?:@default|\[1m\])", re.ASCII)
_DOTTED_VERSION = re.compile(r"(?<=\d)\.(?=\d)", re.ASCII)
_MAX_MEMO = 10_000


@dataclass(frozen=True, eq=False)
class Match:
    """A registry entry: its key, `provider:model`, its prices, and its limits in tokens.

    `context` is the most that a prompt has, `max_output_tokens` the most that an answer has.
    """

    key: str
    prices: ModelPrices
    context: int | None = None
    max_output_tokens: int | None = None

    @property
    def provider(self) -> str:
        return self.key.partition(":")[0]

    @property
    def undated_model(self) -> str:
        name = self.key.partition(":")[2]
        return without_date(name) or name

    @property
    def limits(self) -> dict[str, int | None]:
        """The limits by their names."""
        return {
            "context": self.context,
            "max_output_tokens": self.max_output_tokens,
        }

    @cached_property
    def ceiling(self) -> Ceiling | None:
        """The most that a call costs without custom prices, at the standard tier."""
        return ceiling_of([self.prices.standard, self.prices.long_context], **self.limits)


class Twin(NamedTuple):
    """Two entries whose names differ in letter case only; `suspect` is not the provider's name."""

    suspect: str
    preferred: str


class ModelIndex:
    """The price entries of one snapshot by every name that callers use for them.

    Entries of inactive models keep their prices.
    """

    def __init__(self, models: Mapping[str, Mapping]) -> None:
        self.twins = find_twins(models)
        suspects = {twin.suspect: twin.preferred for twin in self.twins}
        contexts = _contexts(models)
        self._entries = {
            key: Match(
                key,
                _prices(key, models),
                contexts.get(_undated(key)),
                _limit(models[key], "max_output_tokens"),
            )
            for key in models
            if key not in suspects
        }
        self._entries |= {
            suspect: self._entries[preferred] for suspect, preferred in suspects.items()
        }
        self._names = self._entries | self._aliases(models)
        self._folded: dict[str, Match] = {}
        # In this order: an entry's own name before an alias, a first entry before later ones.
        for name, match in self._names.items():
            self._folded.setdefault(name.casefold(), match)
        self._providers = sorted({match.provider for match in self._entries.values()})
        self._memo: dict[tuple[str, str], Match | None] = {}

    def lookup(self, provider: str, model: str) -> Match | None:
        """Return the entry of a model; None for an unknown one. Usually one dict lookup."""
        match = self._exact(provider, model)
        if match is not None:
            return match
        sent = provider, model
        try:
            return self._memo[sent]
        except KeyError:
            match = self._lenient(provider.strip(), model.strip())
        if len(self._memo) >= _MAX_MEMO:
            self._memo.clear()
        self._memo[sent] = match
        return match

    def _exact(self, provider: str, model: str) -> Match | None:
        match = self._names.get(model if ":" in model else f"{provider}:{model}")
        if match is not None:
            return match
        return self._entries.get(model) or self._entries.get(f"{provider}/{model}")

    def _lenient(self, provider: str, model: str) -> Match | None:
        providers, name = self._split_prefix(self._candidates(provider), model)
        for vendor, variant in _variants(name):
            possible = [vendor] if vendor else providers
            matches = [self._folded.get(f"{each}:{variant}".casefold()) for each in possible]
            by_key = {match.key: match for match in matches if match is not None}
            if by_key:
                is_clear = len(by_key) == 1 or provider
                return next(iter(by_key.values())) if is_clear else None
        return None

    def _candidates(self, provider: str) -> list[str]:
        """Return the registry's providers that a caller may mean; all of them for no name."""
        return list(providers_named(provider)) if provider else self._providers

    def _split_prefix(self, providers: list[str], model: str) -> tuple[list[str], str]:
        """Take segments such as `openai/`, `models/` or `google:` off the name."""
        model = _VERTEX_PATH.sub("", model, count=1) if model.startswith("projects/") else model
        while True:
            head, separator, rest = re.match(r"([^/:]*)([/:]?)(.*)", model, re.DOTALL).groups()
            if not separator or not rest:
                return providers, model
            folded = head.casefold().replace("-", "_")
            if folded in _SYNONYMS or head.casefold() in self._providers:
                providers = self._candidates(head)
            elif separator != "/" or not _NEUTRAL_SEGMENT.fullmatch(head.casefold()):
                return providers, model
            model = rest

    def _aliases(self, models: Mapping[str, Mapping]) -> dict[str, Match]:
        """Map `provider:alias` to entries, except aliases that are a model's own name."""
        aliases: dict[str, Match] = {}
        # Where two models share an alias, the first active one has it.
        for key in sorted(models, key=lambda key: models[key].get("is_active") is False):
            provider = key.split(":", 1)[0] if ":" in key else models[key].get("provider")
            for alias in _listed_aliases(models[key]):
                names = (f"{provider}:{alias}", alias, f"{provider}/{alias}")
                if not any(name in models for name in names):
                    aliases.setdefault(names[0], self._entries[key])
        return aliases


def providers_named(name: str) -> tuple[str, ...]:
    """Return the registry's providers that a name of a provider or platform may mean.

    Vercel's AI SDK puts the API behind it: `openai.responses`.
    """
    folded = name.casefold()
    synonym = folded.replace("-", "_")
    return _SYNONYMS.get(synonym) or _SYNONYMS.get(synonym.partition(".")[0], (folded,))


def find_twins(models: Mapping[str, Mapping]) -> list[Twin]:
    """Return the entries whose names differ in letter case only.

    Providers spell the names of their models in small letters; the other spelling
    comes from headings of their pages, often with wrong prices.
    """
    twins = []
    for key in models:
        preferred = key.lower()
        if preferred != key and preferred in models:
            twins.append(Twin(key, preferred))
    return sorted(twins)


def without_date(name: str) -> str | None:
    """Return the name without its trailing date; None if it has none."""
    match = _TRAILING_DATE.fullmatch(name)
    if match is None:
        return None
    stem, year, _, month, day = match.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return None
    return stem


def _variants(name: str) -> Iterator[tuple[str | None, str]]:
    """Yield the vendor (None: the caller's provider) and spelling that a name may mean."""
    forms = [(None, name)]
    if match := _SUFFIX.fullmatch(name.lower()):
        name = match["model"]
        forms.append((None, name))
    if "@" in name:  # Vertex AI's spelling of a dated name
        forms.append((None, name.replace("@", "-")))
    if match := _BEDROCK.fullmatch(name.lower()):
        forms.append((match["vendor"], match["model"]))
    elif match := _BEDROCK_VERSION.fullmatch(name):
        forms.append((None, match["model"]))
    if (hyphened := _DOTTED_VERSION.sub("-", name)) != name:
        # OpenRouter and Vercel's gateway write Claude's versions with a dot.
        forms.append((None, hyphened))
    yield from forms
    for vendor, form in forms:
        if stem := without_date(form):
            yield vendor, stem


def _prices(key: str, models: Mapping[str, Mapping]) -> ModelPrices:
    stem = without_date(key)
    provider, _, model = (stem or key).partition(":")
    return ModelPrices.parse(
        models[key], provider=provider, model=model, sibling=models.get(stem) if stem else None
    )


def _contexts(models: Mapping[str, Mapping]) -> dict[str, int]:
    """Return the contexts of the models that have a largest prompt, by their undated keys.

    Some entries state the context as the largest prompt, others what the longest answer leaves
    of it, which is more for a shorter answer: it is no more than both limits together. Of a
    model with several entries it is the smallest sum that holds the largest prompt.
    """
    largest: dict[str, int] = {}
    sums: dict[str, list[int]] = {}
    for key, entry in models.items():
        if prompt := _limit(entry, "max_input_tokens"):
            name = _undated(key)
            largest[name] = max(largest.get(name, 0), prompt)
            sums.setdefault(name, []).append(prompt + (_limit(entry, "max_output_tokens") or 0))
    return {name: min(sum for sum in sums[name] if sum >= largest[name]) for name in sums}


def _undated(key: str) -> str:
    return (without_date(key) or key).lower()


def _limit(entry: Mapping, name: str) -> int | None:
    """Return a limit in tokens; 0 stands for an unknown one."""
    limit = entry.get(name)
    return limit if type(limit) is int and limit > 0 else None


def _listed_aliases(entry: Mapping) -> list[str]:
    aliases = entry.get("model_aliases")
    if not isinstance(aliases, list):
        return []
    return [alias for alias in aliases if isinstance(alias, str)]
