"""The price of a call: the one place that other apps ask.

A call costs what held when it was made: the prices of the registry snapshot that
this server had then, changed by the operator's own prices and by the published
rules for the call's modifiers. What has no price makes the call unpriced, and
the result says what it was.
Source: docs/http-contract.md, section "Cost".
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import NamedTuple
from uuid import UUID

from registry_proxy import custom_prices, prices, published_rules, snapshots
from registry_proxy.ceilings import Ceiling, ceiling_of
from registry_proxy.current_registry import current
from registry_proxy.model_names import Match
from registry_proxy.models import CustomPrice
from registry_proxy.prices import PriceMissing, Quote
from registry_proxy.tokens import TOKEN_CLASSES, Tokens

_MILLION = 1_000_000


class Pricing(NamedTuple):
    """The cost of a call in US dollars, or why it has none.

    `snapshot_id` names the registry snapshot behind it, `custom_price_id` the
    operator's price; `priced_as` is the registry's `provider:model`, or the names
    as sent where only custom prices were needed.
    """

    cost: Decimal | None
    snapshot_id: int | None = None
    custom_price_id: int | None = None
    priced_as: str | None = None
    quote: Quote | None = None
    unpriced_reason: str | None = None


def load() -> None:
    """Load registry and custom prices. Call it before a transaction: it may wait for upstream."""
    current.get()
    custom_prices.current.follow()


def is_loaded(at: datetime | None = None) -> bool:
    """Return whether `price` answers at once, without a query or a wait for upstream."""
    return current.is_loaded(at) and custom_prices.current.is_loaded


def price(
    provider: str,
    model: str,
    tokens: Tokens,
    *,
    units: Mapping[str, Decimal] | None = None,
    modifiers: Mapping[str, str] | None = None,
    at: datetime | None = None,
    project_id: UUID | None = None,
    snapshot_id: int | None = None,
) -> Pricing:
    """Return the cost of a call made `at` a time (default now), or the reason why it has none.

    By the prices of `snapshot_id` if given; raises Snapshot.DoesNotExist. Microseconds
    for what is in memory (`is_loaded`); else some queries, or a wait for upstream.
    """
    held = current.held_at(at) if snapshot_id is None else snapshots.load_prices(snapshot_id)
    find_custom = custom_prices.current.finder(provider, model, at=at, project_id=project_id)
    custom = find_custom("")
    named = custom.priced_as.split(":", 1) if custom and custom.priced_as else (provider, model)
    match = None if held is None else held.models.lookup(*named)
    if match is None and (custom is None or custom.priced_as):
        return Pricing(None, unpriced_reason=f"no prices for {provider}:{model}")
    key = match.key if match else f"{provider}:{model}"
    try:
        by_name, custom = _prices(match, find_custom, modifiers or {}, tokens.prompt)
        quote = prices.quote(tokens.by_class() | (units or {}), by_name)
    except PriceMissing as error:
        return Pricing(None, priced_as=key, unpriced_reason=f"{error} of {key}")
    return Pricing(
        quote.total,
        snapshot_id=held.id if match else None,
        custom_price_id=custom.id if custom else None,
        priced_as=key,
        quote=quote,
    )


def ceiling(
    provider: str,
    model: str,
    *,
    service_tiers: Collection[str] = (),
    project_id: UUID | None = None,
) -> Ceiling | None:
    """Return the highest prices that a call can meet now; None where no price is known.

    Of prompts that are short or long, at the standard tier, and at those of `service_tiers`,
    one of which must have a price if there are any.
    """
    held = current.held_at()
    find_custom = custom_prices.current.finder(provider, model, at=None, project_id=project_id)
    custom = find_custom("")
    named = custom.priced_as.split(":", 1) if custom and custom.priced_as else (provider, model)
    match = None if held is None else held.models.lookup(*named)
    if find_custom is custom_prices.find_none and not service_tiers:
        return match.ceiling if match else None
    threshold = match.prices.long_context_threshold if match else None
    prompts = (0,) if threshold is None else (0, threshold + 1)
    of_tiers = []
    for tier, prompt in product(service_tiers, prompts):
        with suppress(PriceMissing):
            of_tiers.append(_prices(match, find_custom, {"service_tier": tier}, prompt)[0])
    if service_tiers and not of_tiers:
        return None
    possible = [*of_tiers, *(_prices(match, find_custom, {}, prompt)[0] for prompt in prompts)]
    return ceiling_of(possible, **(match.limits if match else {}))


def _prices(
    match: Match | None,
    find_custom: Callable[[str], CustomPrice | None],
    modifiers: Mapping[str, str],
    prompt_tokens: int,
) -> tuple[prices.Prices, CustomPrice | None]:
    """Return the prices of a call, and the custom price that changed them last.

    Raises PriceMissing for a modifier without a price.
    """
    by_name = match.prices.for_prompt(prompt_tokens) if match else {}
    custom = find_custom("")
    if custom:
        by_name = _customized(by_name, custom)
    for name, value in sorted(modifiers.items()):
        if own := find_custom(f"{name}={value}"):
            by_name, custom = _customized(by_name, own), own
        else:
            by_name = _modified(by_name, match, name, value, prompt_tokens)
    return by_name, custom


def _customized(by_name: prices.Prices, custom: CustomPrice) -> prices.Prices:
    """Return the prices with a factor, then with the operator's own amounts."""
    if custom.factor is not None:
        by_name = prices.scaled(by_name, custom.factor)
    own = {
        name: amount if name in TOKEN_CLASSES else amount * _MILLION
        for name, amount in custom.amounts.items()
    }
    return {**by_name, **own}


def _modified(
    by_name: prices.Prices, match: Match | None, name: str, value: str, prompt: int
) -> prices.Prices:
    """Return the prices by the published rule for a modifier; raise PriceMissing."""
    rule = match and published_rules.modifier_rule(
        match.provider, match.undated_model, name, value, prompt_tokens=prompt
    )
    if not rule:
        raise PriceMissing(f"no price for {name} {value}")
    return rule.apply(by_name)
