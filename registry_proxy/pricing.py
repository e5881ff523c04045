"""What a call costs by the registry, as it is now or as it was in a snapshot."""

from decimal import Decimal
from typing import NamedTuple

from registry_proxy import editions, prices, service
from registry_proxy.editions import Edition
from registry_proxy.prices import PriceMissing, Quote, Tokens


class Priced(NamedTuple):
    """A cost in US dollars, and the snapshot whose prices it was made from."""

    cost: Decimal
    snapshot_id: int
    quote: Quote


def price(provider: str, model: str, tokens: Tokens) -> Priced | None:
    """The cost of a call; None when the registry has no price for it.

    Microseconds, and no network, once the process has a copy of the registry;
    before that the first caller waits for it, a few seconds at most.
    """
    edition = service.current.get()
    return None if edition is None else _price(edition, provider, model, tokens)


def price_at(snapshot_id: int, provider: str, model: str, tokens: Tokens) -> Priced | None:
    """The cost by the prices of a stored snapshot, to the last digit what `price` said then.

    Raises Snapshot.DoesNotExist. Two queries for a snapshot that is not in memory.
    """
    return _price(editions.edition(snapshot_id), provider, model, tokens)


def _price(edition: Edition, provider: str, model: str, tokens: Tokens) -> Priced | None:
    entry = edition.catalogue.lookup(provider, model)
    if entry is None:
        return None
    try:
        quote = prices.quote(entry, tokens)
    except PriceMissing:
        return None
    return Priced(quote.total, edition.snapshot_id, quote)
