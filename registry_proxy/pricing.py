from typing import NamedTuple


class Priced(NamedTuple):
    cost: object
    snapshot_id: int
    quote: object


def price(provider, model, tokens):
    return None
