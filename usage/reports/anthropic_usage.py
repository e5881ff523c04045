"""The usage object of Anthropic's Messages.

Cached and written tokens stand beside the prompt; thinking is part of the output.
Source: docs/http-contract/usage.md, section "A provider's own usage object".
"""

from dataclasses import replace

from registry_proxy.tokens import TOKEN_CLASSES, Tokens
from usage.reports.cache_writes import split_by_lifetime
from usage.reports.members import MAX_TEXT, Members
from usage.reports.provider_cost import read_cost
from usage.reports.reported_usage import Usage, as_modifiers, as_units
from usage.reports.summed_prompts import as_range

# Members that no other usage object with `input_tokens` has.
OWN_MEMBERS = (
    "cache_creation",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "inference_geo",
    "iterations",
    "server_tool_use",
    "speed",
)
# Of Claude Code's events, which have shorter names.
EVENT_MEMBERS = ("cache_creation_tokens",)
# Of the sums by day that Anthropic reports to organizations, and what these may tell of the
# prompts: `context_window` is a group.
SUM_MEMBER = "uncached_input_tokens"
_CONTEXTS = {"0-200k": "0-200000", "200k-1M": "200001-1000000"}


def read_messages(usage: Members, *, model: str) -> Usage:
    """Read the usage of a message; `model` is the one that the report names.

    With `iterations`, these are summed up: the totals leave out compactions and
    advisors. Output of another model than the one that served has a price of its
    own, so the modifier `other_model` names it.
    Source: https://platform.claude.com/docs/en/build-with-claude/compaction-threshold
    """
    iterations = usage.parts("iterations")
    served_by, billed, others = _billed(iterations, model)
    counted = [_message_tokens(entry) for entry in billed]
    if billed:
        tokens = sum_up(*counted)
        tokens = _with_lifetimes(tokens, usage.part("cache_creation"))
    else:
        tokens = _message_tokens(usage)
    thinking = min(usage.part("output_tokens_details").count("thinking_tokens"), tokens.output)
    searches = usage.part("server_tool_use").count("web_search_requests")
    return Usage(
        replace(tokens, output=tokens.output - thinking, thinking=thinking),
        "anthropic_iterations" if billed else "anthropic_messages",
        units=as_units(web_searches=searches),
        modifiers=as_modifiers(
            service_tier=usage.text("service_tier"),
            speed=usage.text("speed"),
            region=usage.text("inference_geo"),
            served_model=served_by,
            other_model=", ".join(sorted(others))[:MAX_TEXT],
            prompts=_prompts_of_sum(usage, tokens)
            if usage.has(SUM_MEMBER)
            else as_range([counts.prompt for counts in counted]),
        ),
        cost=read_cost(usage),
    )


def sum_up(*counted: Tokens) -> Tokens:
    """Return the tokens of several requests, class by class."""
    return Tokens(
        **{name: sum(getattr(tokens, name) for tokens in counted) for name in TOKEN_CLASSES}
    )


def _message_tokens(usage: Members) -> Tokens:
    written = usage.count("cache_creation_input_tokens", *EVENT_MEMBERS)
    return Tokens(
        input=usage.required_count("input_tokens", SUM_MEMBER),
        cache_read=usage.count("cache_read_input_tokens", "cache_read_tokens"),
        **split_by_lifetime(written, usage, usage.part("cache_creation")),
        output=usage.required_count("output_tokens"),
    )


def _prompts_of_sum(usage: Members, tokens: Tokens) -> str | None:
    context = usage.text("context_window")
    return _CONTEXTS.get(context) if context else as_range([0, tokens.prompt])


def _with_lifetimes(tokens: Tokens, split: Members) -> Tokens:
    """Take lifetimes that the entries leave out from the split of the totals, if it covers them."""
    written = tokens.cache_write + tokens.cache_write_5m + tokens.cache_write_1h
    lifetimes = split_by_lifetime(0, split)
    covers = written == lifetimes["cache_write_5m"] + lifetimes["cache_write_1h"]
    return replace(tokens, **lifetimes) if tokens.cache_write and covers else tokens


def _billed(iterations: list[Members], model: str) -> tuple[str | None, list[Members], set[str]]:
    """Return the model that served, the entries that are billed, and other models among them.

    After a refusal the last `fallback_message` served; attempts that were refused
    before any output are not billed.
    Source: https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
    """
    fallbacks = [entry for entry in iterations if entry.text("type") == "fallback_message"]
    served_by = fallbacks[-1].text("model") if fallbacks else None
    if served_by is None:
        advisors = (entry for entry in iterations if entry.text("type") == "advisor_message")
        return None, iterations, {entry.text("model") or "advisor" for entry in advisors} - {model}
    billed = [
        entry
        for entry in iterations
        if entry.text("model") == served_by or entry.count("output_tokens")
    ]
    return served_by, billed, {entry.text("model") or model for entry in billed} - {served_by}
