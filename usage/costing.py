"""What a log costs: what its caller states, else what the registry's prices come to.

Source: docs/http-contract.md, section "Cost".
"""

from decimal import Decimal
from typing import NamedTuple

from core.fields import twelve_places
from registry_proxy import pricing
from registry_proxy.prices import Tokens
from usage.models import CostSource


class Cost(NamedTuple):
    """US dollars, None when no price is known; and where the figure comes from."""

    amount: Decimal | None
    source: str
    snapshot_id: int | None = None


def cost_of(provider: str, model: str, tokens: Tokens, *, stated: Decimal | None) -> Cost:
    """Return the cost of a call, rounded to twelve places. `stated` is the caller's figure."""
    if stated is not None:
        return Cost(twelve_places(stated), CostSource.CALLER.value)
    priced = pricing.price(provider, model, tokens)
    if priced is None:
        return Cost(None, CostSource.UNPRICED.value)
    return Cost(priced.cost, CostSource.REGISTRY.value, priced.snapshot_id)
