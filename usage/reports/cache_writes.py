"""How long written cache entries live, which decides their price."""

from usage.reports.members import Members, agreed_count

# Anthropic's names, then New API's, Bifrost's and Pydantic AI's.
_FIVE_MINUTES = (
    "ephemeral_5m_input_tokens",
    "claude_cache_creation_5_m_tokens",
    "cached_write_tokens_5m",
)
_ONE_HOUR = (
    "ephemeral_1h_input_tokens",
    "claude_cache_creation_1_h_tokens",
    "cached_write_tokens_1h",
    "cache_write_1h_tokens",
)
_LIFETIMES = frozenset(_FIVE_MINUTES + _ONE_HOUR)


def split_by_lifetime(total: int, *splits: Members) -> dict[str, int]:
    """Return the classes of `total` written tokens by the places that may split them.

    What no split names keeps an unstated lifetime. A total of 0 beside a split
    was not counted. Raises ReportError if a split is more than the total.
    """
    splits = tuple(split for split in splits if split.has_any(_LIFETIMES))
    if not splits:  # the shortest way for most calls
        return {"cache_write_5m": 0, "cache_write_1h": 0, "cache_write": total}
    five_minutes = agreed_count(*((split, _FIVE_MINUTES) for split in splits))
    one_hour = agreed_count(*((split, _ONE_HOUR) for split in splits))
    unstated = total - five_minutes - one_hour if total else 0
    if unstated < 0:
        names = _FIVE_MINUTES if five_minutes else _ONE_HOUR
        places = ((split, name) for split in splits for name in names)
        split, name = next(place for place in places if place[0].has(place[1]))
        message = f"Input should be part of the {total} tokens written to the cache"
        raise split.error("less_than_equal", name, message)
    return {
        "cache_write_5m": five_minutes,
        "cache_write_1h": one_hour,
        "cache_write": unstated,
    }
