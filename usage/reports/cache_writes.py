"""How long written cache entries live, which decides their price."""

from usage.reports.members import Members, agreed_count

_FIVE_MINUTES, _ONE_HOUR = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"


def split_by_lifetime(total: int, *splits: Members) -> dict[str, int]:
    """Return the classes of `total` written tokens by the places that may split them.

    What no split names keeps an unstated lifetime. A total of 0 beside a split
    was not counted. Raises ReportError if a split is more than the total.
    """
    five_minutes = agreed_count(*((split, (_FIVE_MINUTES,)) for split in splits))
    one_hour = agreed_count(*((split, (_ONE_HOUR,)) for split in splits))
    unstated = total - five_minutes - one_hour if total else 0
    if unstated < 0:
        name = _FIVE_MINUTES if five_minutes else _ONE_HOUR
        split = next(split for split in splits if split.has(name))
        message = f"Input should be part of the {total} tokens written to the cache"
        raise split.error("less_than_equal", name, message)
    return {
        "cache_write_5m": five_minutes,
        "cache_write_1h": one_hour,
        "cache_write": unstated,
    }
