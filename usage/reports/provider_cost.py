"""The cost of a call that a provider states."""

from decimal import Decimal

from usage.reports.members import Members

# Source: https://docs.x.ai/developers/cost-tracking
_DOLLARS_PER_TICK = Decimal(1).scaleb(-10)


def read_cost(usage: Members) -> Decimal | None:
    """Return the cost in US dollars that a usage object states; None if it states none.

    OpenRouter and LiteLLM state a number, Pydantic AI a decimal as text, Perplexity an object
    with a total, xAI ticks. With a key of the customer's own, OpenRouter's `cost` is only its fee,
    and the provider's charge stands beside it. Its SDK for TypeScript has the
    names in camel case.
    Source: https://openrouter.ai/docs/use-cases/usage-accounting
    """
    ticks = usage.amount("cost_in_usd_ticks", "costUsdTicks")  # the latter: Grok's command line
    if ticks is not None:
        return ticks * _DOLLARS_PER_TICK
    if usage.is_object("cost"):
        return usage.part("cost").amount("total_cost")
    cost = usage.amount_in_text("cost")
    if cost is None or not (usage.flag("is_byok") or usage.flag("isByok")):
        return cost
    details = usage.part("cost_details", "costDetails")
    upstream = details.amount("upstream_inference_cost", "upstreamInferenceCost")
    return None if upstream is None else cost + upstream
