"""The price of a call: the interface of this app for others.

A call has the prices of its time: those of the registry snapshot that this server had
then, changed by the operator's own prices and by the published rules for the call's
modifiers. If anything it used has no price, the call is unpriced, and the result
names it.
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
from registry_proxy.snapshots import SnapshotPrices
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
    """Return whether `price` returns at once, without a query or a wait for upstream."""
    return current.is_loaded(at) and custom_prices.current.is_loaded


def price(
    provider: str,
    model: str,
    tokens: Tokens,
    *,
    units: Mapping[str, Decimal] | None = None,
    modifiers: Mapping[str, str] | None = None,
    prompts: tuple[int, int] | None = None,
    at: datetime | None = None,
    project_id: UUID | None = None,
    snapshot_id: int | None = None,
) -> Pricing:
    """Return the cost of a call made `at` a time (default now), or the reason why it has none.

    `prompts`: the shortest and the longest prompt, where the tokens are those of several
    requests. By the prices of `snapshot_id` if given; raises Snapshot.DoesNotExist. Microseconds
    for what is in memory (`is_loaded`); else some queries, or a wait for upstream.
    """
    held = current.held_at(at) if snapshot_id is None else snapshots.load_prices(snapshot_id)
    find_custom = custom_prices.current.finder(provider, model, at=at, project_id=project_id)
    modifiers = modifiers or {}
    basis = _basis(held, provider, model, find_custom, modifiers)
    name = f"{provider}:{model}" if provider else model
    if basis is None:
        return Pricing(None, unpriced_reason=f"no prices for {name}")
    match = basis.match
    key = match.key if match else name
    try:
        counts = tokens.by_class() | (units or {})
        longest = min(prompts[1], tokens.prompt) if prompts else tokens.prompt
        by_name, custom = _prices(basis, find_custom, modifiers, longest)
        if prompts:
            of_shortest, _ = _prices(basis, find_custom, modifiers, min(prompts[0], longest))
            _require_same(by_name, of_shortest, counts)
        quote = prices.quote(counts, by_name)
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
    terms: Mapping[str, str] | None = None,
    project_id: UUID | None = None,
) -> Ceiling | None:
    """Return the highest prices that a call can have now; None where no price is known.

    They cover short and long prompts, the standard tier and `service_tiers` (of which one must
    have a price, if there are any), with and without the other modifiers in `terms`. They cover
    the registry's prices beside the operator's, which need not apply to the dated name that an
    answer may have.
    """
    held = current.held_at()
    find_custom = custom_prices.current.finder(provider, model, at=None, project_id=project_id)
    if find_custom is custom_prices.find_none and not service_tiers and not terms:
        match = held.models.lookup(provider, model) if held else None
        return match.ceiling if match else None
    calls = [{}, *({"service_tier": tier} for tier in service_tiers)]
    calls += [{**call, **terms} for call in calls] if terms else []
    matches, standard, of_tiers = [], [], []
    for find, modifiers in product((find_custom, custom_prices.find_none), calls):
        if basis := _basis(held, provider, model, find, modifiers):
            possible = of_tiers if "service_tier" in modifiers else standard
            possible += _possible_prices(basis, find, modifiers)
            matches += [basis.match] if basis.match else []
    if service_tiers and not of_tiers:
        return None
    return ceiling_of([*standard, *of_tiers], **_largest_limits(matches))


class _Basis(NamedTuple):
    """What the price of a call starts from: a registry entry, and the operator's price over it."""

    match: Match | None
    custom: CustomPrice | None


def _basis(
    held: SnapshotPrices | None,
    provider: str,
    model: str,
    find_custom: Callable[[str], CustomPrice | None],
    modifiers: Mapping[str, str],
) -> _Basis | None:
    """Return the basis of a call's price; None where the model has no prices.

    A modifier's price with `priced_as` names the whole basis: amounts and factors of the price
    without modifier are for another model.
    """
    base = find_custom("")
    terms = (f"{name}={value}" for name, value in sorted(modifiers.items()))
    own = [custom for term in terms if (custom := find_custom(term))]
    renaming = next((custom for custom in reversed(own) if custom.priced_as), None)
    if renaming:
        base = None
    elif base and base.priced_as:
        renaming = base
    named = renaming.priced_as.split(":", 1) if renaming else (provider, model)
    match = held.models.lookup(*named) if held else None
    if match is None and (renaming or not (base or own)):
        return None
    return _Basis(match, base)


def _possible_prices(
    basis: _Basis,
    find_custom: Callable[[str], CustomPrice | None],
    modifiers: Mapping[str, str],
) -> list[prices.Prices]:
    """Return the prices of calls with short and with long prompts, as far as there are any."""
    threshold = basis.match.prices.long_context_threshold if basis.match else None
    possible = []
    for prompt in (0,) if threshold is None else (0, threshold + 1):
        with suppress(PriceMissing):
            possible.append(_prices(basis, find_custom, modifiers, prompt)[0])
    return possible


def _largest_limits(matches: Collection[Match]) -> dict[str, int | None]:
    """Return the largest limits of registry entries; None for what one of them does not limit."""
    limits: dict[str, int | None] = {}
    for name in ("context", "max_output_tokens"):
        stated = [match.limits[name] for match in matches]
        limits[name] = None if None in stated else max(stated, default=None)
    return limits


def _prices(
    basis: _Basis,
    find_custom: Callable[[str], CustomPrice | None],
    modifiers: Mapping[str, str],
    prompt_tokens: int,
) -> tuple[prices.Prices, CustomPrice | None]:
    """Return the prices of a call, and the custom price that changed them last.

    Raises PriceMissing for a modifier without a price.
    """
    match, custom = basis
    by_name = match.prices.for_prompt(prompt_tokens) if match else {}
    if custom:
        by_name = _customized(by_name, custom)
    for name, value in sorted(modifiers.items()):
        if own := find_custom(f"{name}={value}"):
            by_name, custom = _customized(by_name, own), own
        else:
            by_name = _modified(by_name, match, name, value, prompt_tokens)
    return by_name, custom


def _require_same(long: prices.Prices, short: prices.Prices, used: Collection[str]) -> None:
    """Raise PriceMissing where what several requests used costs more in the long ones."""
    if any(long.get(name) != short.get(name) for name in used):
        raise PriceMissing("no one price for requests with short and with long prompts")


def _customized(by_name: prices.Prices, custom: CustomPrice) -> prices.Prices:
    """Return the prices with a factor, then with the operator's own amounts."""
    if custom.factor is not None:
        by_name = prices.scaled(by_name, custom.factor)
    own = {
        name: amount if name in TOKEN_CLASSES else amount * _MILLION
        for name, amount in custom.amounts.items()
    }
    return prices.replaced(by_name, own)


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
