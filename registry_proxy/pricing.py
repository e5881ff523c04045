"""The cost of a call by the registry, current or as of a snapshot."""

from decimal import Decimal
from typing import NamedTuple

from registry_proxy import prices, snapshots
from registry_proxy.current_registry import current
from registry_proxy.prices import PriceMissing, Quote, Tokens
from registry_proxy.snapshots import LoadedSnapshot


class Priced(NamedTuple):
    """A cost in US dollars, and the snapshot whose prices it is made of."""

    cost: Decimal
    snapshot_id: int
    quote: Quote


def load() -> None:
    """Have the registry in memory. Call it before a transaction: it may wait for upstream."""
    current.get()


def is_loaded() -> bool:
    """Return whether `price` answers at once, without a query or a wait for upstream."""
    return current.is_loaded


def price(provider: str, model: str, tokens: Tokens) -> Priced | None:
    """Return the cost of a call; None if the registry has no price for it.

    Microseconds, and no network, once the process has a copy of the registry;
    before that the first caller waits for it, a few seconds at most.
    """
    snapshot = current.get()
    return None if snapshot is None else _price(snapshot, provider, model, tokens)


def price_at(snapshot_id: int, provider: str, model: str, tokens: Tokens) -> Priced | None:
    """Return the cost by the prices of a stored snapshot, to the last digit as `price` did then.

    Raises Snapshot.DoesNotExist. Two queries for a snapshot that is not in memory.
    """
    return _price(snapshots.load(snapshot_id), provider, model, tokens)


def _price(snapshot: LoadedSnapshot, provider: str, model: str, tokens: Tokens) -> Priced | None:
    entry = snapshot.models.lookup(provider, model)
    if entry is None:
        return None
    try:
        quote = prices.quote(entry, tokens)
    except PriceMissing:
        return None
    return Priced(quote.total, snapshot.id, quote)
