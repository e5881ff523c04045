"""The flat members of a report: `input_tokens`, `output_tokens`, and counts of single classes.

Source: docs/http-contract/usage.md, section "Token classes".
"""

from collections.abc import Iterable
from operator import attrgetter

from registry_proxy.tokens import Tokens
from usage.reports.members import Location, ReportError, as_count
from usage.reports.placement import cached_tokens, place
from usage.reports.report import Report, thinks_beside
from usage.reports.reported_usage import Usage

# The class that each member counts.
CLASS_OF = {
    "cached_input_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "cache_write_tokens": "cache_write",
    "thinking_tokens": "thinking",
    "reasoning_tokens": "thinking",
    "audio_input_tokens": "audio_input",
    "audio_output_tokens": "audio_output",
    "image_input_tokens": "image_input",
    "image_output_tokens": "image_output",
}
# Those that `metadata` may hold, for clients that cannot send other members.
METADATA_MEMBERS = CLASS_OF.keys() - {"cached_input_tokens"}
# By this member of `metadata` a report of the released client is known.
DECORATOR_MEMBER = "model_alias"
_class_members = attrgetter(*CLASS_OF)


def read_flat(report: Report) -> Usage:
    """Read the flat members of a report. Raises ReportError."""
    for name in ("input_tokens", "output_tokens"):
        if getattr(report, name) is None:
            raise ReportError("missing", (name,), "Field required")
    if not any(_class_members(report)) and METADATA_MEMBERS.isdisjoint(report.metadata):
        # Most reports count no single classes: the shortest way for them.
        return Usage(Tokens(report.input_tokens, output=report.output_tokens), "flat")
    parts = _class_counts(report)
    _require_fit(report, parts)
    from_decorator = bool(parts) and _is_from_decorator(report)
    placement = place(
        parts,
        prompt=report.input_tokens,
        completion=report.output_tokens,
        includes_cache=False if from_decorator else report.input_includes_cache,
        includes_thinking=report.output_includes_thinking,
        thinks_beside=bool(parts) and thinks_beside(report),
    )
    form = "decorator" if from_decorator else "flat"
    return Usage(placement.tokens, placement.read_as(form), units=placement.units)


def _class_counts(report: Report) -> dict[str, int]:
    """Return the counts of single classes; a member of the report wins over `metadata`."""
    counts = _by_class(zip(CLASS_OF, _class_members(report), strict=True), ())
    if not METADATA_MEMBERS.isdisjoint(report.metadata):
        stated = [
            (name, report.metadata.get(name)) for name in CLASS_OF if name in METADATA_MEMBERS
        ]
        counts = _without_sum(_by_class(stated, ("metadata",))) | counts
    return counts


def _by_class(stated: Iterable[tuple[str, object]], loc: Location) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, value in stated:
        if value is None:
            continue
        token_class, count = CLASS_OF[name], as_count(value, (*loc, name))
        other = counts.get(token_class, 0)
        if other and count not in (0, other):
            message = f"Input should be {other}, as another member counts the same tokens"
            raise ReportError("value_error", (*loc, name), message, value)
        counts[token_class] = count or other
    return counts


def _without_sum(counts: dict[str, int]) -> dict[str, int]:
    """Drop the written tokens of no stated lifetime where they are the sum of the others."""
    by_lifetime = counts.get("cache_write_5m", 0) + counts.get("cache_write_1h", 0)
    if counts.get("cache_write", 0) == by_lifetime:
        counts.pop("cache_write", None)
    return counts


def _require_fit(report: Report, parts: dict[str, int]) -> None:
    """Refuse parts that cannot be inside a total that is said to contain them."""
    if report.input_includes_cache and (cached := cached_tokens(parts)) > report.input_tokens:
        message = "Input should be less than or equal to input_tokens, which include it"
        raise ReportError("less_than_equal", ("cached_input_tokens",), message, cached)
    thinking = parts.get("thinking", 0)
    if report.output_includes_thinking and thinking > report.output_tokens:
        message = "Input should be less than or equal to output_tokens, which include it"
        raise ReportError("less_than_equal", ("thinking_tokens",), message, thinking)


def _is_from_decorator(report: Report) -> bool:
    """Return whether the released client's decorator wrote this, for a call of Anthropic.

    It copies Anthropic's counts, in which cached tokens stand beside the prompt;
    the client's other reports of such a call state a cost.
    """
    return (
        report.cost is None
        and report.input_includes_cache is None
        and DECORATOR_MEMBER in report.metadata
        and report.provider.casefold() == "anthropic"
    )
