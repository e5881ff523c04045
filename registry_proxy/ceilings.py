"""The most that a call of a model can cost: its highest prices, and its limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from registry_proxy.prices import Prices

# Cached media are units, as the class of cached tokens does not express their price.
_PROMPT_CLASSES = frozenset(
    {
        *("input", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h"),
        *("audio_input", "image_input", "cached_audio_tokens", "cached_image_tokens"),
    }
)
_ANSWER_CLASSES = frozenset({"output", "thinking", "audio_output", "image_output"})


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The highest price of each token class and unit, in US dollars per million, and the limits.

    `input` and `output` are the most that a token of a prompt and of an answer costs; `output`
    is None if no such token has a price. `units` are what is paid for beside tokens, such as
    searches and seconds of audio. A limit in tokens that the registry does not have is None.
    """

    prices: Prices
    input: Decimal
    output: Decimal | None
    units: Prices
    context: int | None
    max_output_tokens: int | None


def ceiling_of(
    possible: Sequence[Prices],
    *,
    context: int | None = None,
    max_output_tokens: int | None = None,
) -> Ceiling | None:
    """Return the highest of the prices that a call can meet; None if prompts have none."""
    highest = {
        name: max(by_name[name] for by_name in possible if name in by_name)
        for name in set().union(*possible)
    }
    if "input" not in highest:
        return None
    return Ceiling(
        highest,
        max(highest[name] for name in _PROMPT_CLASSES & highest.keys()),
        max((highest[name] for name in _ANSWER_CLASSES & highest.keys()), default=None),
        {
            name: price
            for name, price in highest.items()
            if price and name not in _PROMPT_CLASSES | _ANSWER_CLASSES
        },
        context,
        max_output_tokens,
    )
