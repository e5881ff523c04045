"""The usage that a report states, whatever its form."""

from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import TextChoices

from registry_proxy.tokens import Tokens
from usage.reports.summed_prompts import parse_range


class UsageStatus(TextChoices):
    """How much is known of what a call used."""

    SETTLED = "settled", "the provider's final counts"
    ESTIMATED = "estimated", "counted by someone else"
    FAILED = "failed", "nothing was billed"
    UNKNOWN = "unknown", "unknown"


SERVED_MODEL, PROMPTS = "served_model", "prompts"


@dataclass(slots=True)  # never changed; frozen, each takes three times as long to make
class Usage:
    """The usage of one call.

    `tokens` is None if they are unknown. `read_as` says which form the report
    has and how what it leaves open was decided. `units` counts what is billed
    but is not a token (`audio_seconds`, `web_searches`); `modifiers` are terms that
    change the price (`service_tier`, `speed`, `region`), or the model whose prices
    they are (`served_model`), or how long the prompts of several requests are
    (`prompts`). `cost` is what the caller or the provider says, in US
    dollars.
    """

    tokens: Tokens | None
    read_as: str
    units: dict[str, Decimal] = field(default_factory=dict)
    modifiers: dict[str, str] = field(default_factory=dict)
    cost: Decimal | None = None
    status: UsageStatus = UsageStatus.SETTLED

    def priced_model(self, requested: str) -> str:
        """Return the model that served, if the usage names another than the requested one."""
        return self.modifiers.get(SERVED_MODEL, requested)

    def prompts(self) -> tuple[int, int] | None:
        """Return the shortest and the longest prompt of several requests; None for one."""
        return parse_range(self.modifiers[PROMPTS]) if PROMPTS in self.modifiers else None

    def price_terms(self) -> dict[str, str]:
        """Return the modifiers of the price of that model."""
        known = {SERVED_MODEL, PROMPTS} if self.prompts() else {SERVED_MODEL}
        return {name: term for name, term in self.modifiers.items() if name not in known}


# Providers' names of their standard terms, which need no modifier.
_STANDARD_TERMS = frozenset(
    {"", "auto", "default", "global", "not_available", "on_demand", "standard", "standard_only"}
    | {"unspecified", "service_tier_unspecified", "traffic_type_unspecified"}
)


def as_modifiers(**terms: str | None) -> dict[str, str]:
    """Return the terms that are not the standard ones, in lower case."""
    lowered = {name: term.casefold() for name, term in terms.items() if term}
    return {name: term for name, term in lowered.items() if term not in _STANDARD_TERMS}


def as_units(**counts: int | Decimal | None) -> dict[str, Decimal]:
    """Return the units of which there are any."""
    return {name: Decimal(count) for name, count in counts.items() if count}
