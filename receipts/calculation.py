"""How an amount came about, as text that a person reads and anybody can recompute.

    input 1000 * 0.15 + output 300 * 0.6 = 330 per 1000000 = 0.00033 USD;
    openai:gpt-4o-mini in registry 2026.08.18 sha256:9f86…

Counts of tokens times US dollars per million tokens; the registry is named by
its snapshot and the digest of its content.
Source: docs/receipt-format.md, "The calculation".
"""

from decimal import Context, Decimal

from core.media import plain
from registry_proxy.prices import Quote

_EXACT = Context(prec=80)
STATED = "stated by the caller"


def of_quote(quote: Quote, *, model: str, registry: str) -> str:
    """The whole calculation of a quote; `registry` names the prices it was made from."""
    terms = " + ".join(
        f"{term.token_class} {term.tokens} * {plain(term.dollars_per_million)}"
        for term in quote.terms
    )
    millionths = Decimal(0)
    for term in quote.terms:
        millionths = _EXACT.fma(term.dollars_per_million, term.tokens, millionths)
    exact = _EXACT.scaleb(millionths, -6)
    rounded = "" if exact == quote.total else " rounded to 12 places"
    return (
        f"{terms or 'no tokens'} = {plain(millionths)} per 1000000 "
        f"= {plain(quote.total)} USD{rounded}; {model} in registry {registry}"
    )


def unpriced(model: str) -> str:
    """What stands there when the registry has no price: the amount 0 is no price of ours."""
    return f"unpriced: the registry has no price for {model}"


def stated(calculated: str | None) -> str:
    """For an amount that the caller states, beside what the registry's prices come to."""
    return f"{STATED}; by the registry: {calculated}" if calculated else STATED
