"""Price rules that providers publish and the registry does not have.

Each has its source: a page of the provider, with the month in which it said so.
What no such page says is not here, and makes a call unpriced: other service
tiers, fast modes, regional processing, audio, tools. Models are matched by
their undated names, in which `*` stands for any text.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeVar

from registry_proxy.tokens import TOKEN_CLASSES


class ModifierRule(NamedTuple):
    """What a modifier does to a model's prices: those of `classes` (None: all) times `factor`.

    Units, such as searches, cost what they cost without it.
    """

    provider: str
    model: str
    modifier: str
    value: str
    factor: Decimal
    source: str
    seen: str  # year and month
    classes: frozenset[str] | None = None
    max_prompt: int | None = None  # tokens; a longer prompt has no published price

    def apply(self, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return the modified prices of the classes that the rule covers, and those of units."""
        return {
            name: price * self.factor if name in TOKEN_CLASSES else price
            for name, price in prices.items()
            if self.classes is None or name in self.classes or name not in TOKEN_CLASSES
        }


class LongContextRule(NamedTuple):
    """Above `threshold` prompt tokens the whole request costs these multiples."""

    provider: str
    model: str
    threshold: int
    input_factor: Decimal
    output_factor: Decimal
    source: str
    seen: str

    def apply(self, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return the long prices; those of caches rise as the input price does."""
        return {
            name: price * (self.output_factor if name in _OUTPUT else self.input_factor)
            for name, price in prices.items()
        }


class CacheWriteRule(NamedTuple):
    """Cache writes cost this multiple of the input price."""

    provider: str
    model: str
    factor: Decimal
    source: str
    seen: str


Rule = TypeVar("Rule", ModifierRule, LongContextRule, CacheWriteRule)

_OUTPUT = frozenset({"output", "thinking"})
_HALF = Decimal("0.5")
_TEXT = frozenset({"input", "output", "thinking"})
_OPENAI_BATCH = "https://developers.openai.com/api/docs/guides/batch"
_OPENAI_FLEX = "https://developers.openai.com/api/docs/guides/flex-processing"
_OPENAI_PRIORITY = "https://openai.com/api-priority-processing/"
_ANTHROPIC_BATCH = "https://platform.claude.com/docs/en/build-with-claude/batch-processing"
_GOOGLE_TIERS = "https://ai.google.dev/gemini-api/docs/optimization"
# The page's prices "exclude long context", which begins there.
_PRIORITY_MAX_PROMPT = 272_000

_PRIORITY_FACTORS = {
    "gpt-5.5": "2.5",
    "gpt-5.4-mini": "2",
    "gpt-5.4": "2",
    "gpt-5.2": "2",
    "gpt-5.1": "2",
    "gpt-5.1-codex": "2",
    "gpt-5": "2",
    "gpt-5-codex": "2",
    "gpt-5-mini": "1.8",
    "gpt-4.1": "1.75",
}

MODIFIER_RULES = (
    ModifierRule("openai", "*", "service_tier", "batch", _HALF, _OPENAI_BATCH, "2026-11"),
    ModifierRule("openai", "*", "service_tier", "flex", _HALF, _OPENAI_FLEX, "2026-11"),
    # "The 2-hour window is 30% below Standard token pricing, and the 8-hour window is 40% below."
    *(
        ModifierRule(
            "openai",
            "*",
            "completion_window",
            window,
            Decimal(factor),
            _OPENAI_FLEX,
            "2026-11",
        )
        for window, factor in {"2h": "0.7", "8h": "0.6"}.items()
    ),
    *(
        ModifierRule(
            "openai",
            model,
            "service_tier",
            "priority",
            Decimal(factor),
            _OPENAI_PRIORITY,
            "2026-11",
            frozenset({"input", "cache_read", "output", "thinking"}),
            _PRIORITY_MAX_PROMPT,
        )
        for model, factor in _PRIORITY_FACTORS.items()
    ),
    # "All usage is charged at 50% of the standard API prices", caching included.
    ModifierRule("anthropic", "*", "service_tier", "batch", _HALF, _ANTHROPIC_BATCH, "2026-11"),
    # Cached tokens are not halved, and their price is not stated for every model.
    ModifierRule("google", "*", "service_tier", "batch", _HALF, _GOOGLE_TIERS, "2026-11", _TEXT),
    ModifierRule("google", "*", "service_tier", "flex", _HALF, _GOOGLE_TIERS, "2026-11", _TEXT),
)

_GPT_5_4 = "https://developers.openai.com/api/docs/models/gpt-5.4-pro"  # and gpt-5.4
_GPT_5_5 = "https://developers.openai.com/api/docs/models/gpt-5.5"
_GPT_5_6 = "https://developers.openai.com/api/docs/models/gpt-5.6-sol"
LONG_CONTEXT_RULES = tuple(
    LongContextRule("openai", model, 272_000, Decimal(2), Decimal("1.5"), source, "2026-11")
    for model, source in {
        "gpt-5.4": _GPT_5_4,
        "gpt-5.4-pro": _GPT_5_4,
        "gpt-5.5": _GPT_5_5,
        "gpt-5.6-*": _GPT_5_6,
    }.items()
)

CACHE_WRITE_RULES = (CacheWriteRule("openai", "gpt-5.6-*", Decimal("1.25"), _GPT_5_6, "2026-11"),)

# Above the threshold cache prices rise as the input price does: source and month by provider.
CACHES_FOLLOW_LONG_INPUT = {
    "anthropic": ("https://platform.claude.com/docs/en/about-claude/pricing", "2026-02"),
    "google": ("https://ai.google.dev/gemini-api/docs/pricing", "2026-11"),
}


def modifier_rule(
    provider: str, model: str, modifier: str, value: str, *, prompt_tokens: int
) -> ModifierRule | None:
    """Return the published rule for a modifier of a call, if there is one."""
    for rule in _of_model(MODIFIER_RULES, provider, model):
        if (rule.modifier, rule.value) == (modifier, value) and (
            rule.max_prompt is None or prompt_tokens <= rule.max_prompt
        ):
            return rule
    return None


def long_context_rule(provider: str, model: str) -> LongContextRule | None:
    """Return the rule of a model whose long-context prices the registry lacks."""
    return next(_of_model(LONG_CONTEXT_RULES, provider, model), None)


def cache_write_rule(provider: str, model: str) -> CacheWriteRule | None:
    """Return the rule of a model whose cache-write price the registry lacks."""
    return next(_of_model(CACHE_WRITE_RULES, provider, model), None)


def _of_model(rules: tuple[Rule, ...], provider: str, model: str) -> Iterator[Rule]:
    return (rule for rule in rules if rule.provider == provider and fnmatchcase(model, rule.model))
