"""The outcome of a call for the ledger, from how its answer ended.

Source: docs/gateway.md, section "Metering".
"""

import time
from functools import partial
from typing import Any

from core.schemas import SAFE_INTEGER_MAX
from gateway.answer import estimates
from gateway.metered_calls import Outcome
from gateway.protocols.protocol import Billing, Reading
from gateway.request import bounds
from gateway.request.plan import Plan
from usage.reports.reported_usage import UsageStatus

# Nothing is billed for an answer with this status or a higher one, however it looks.
_UNBILLED_FROM = 300
_TOTALS = ("total_tokens", "tokens")
# What the details of a usage call the tokens that these endpoints put out.
_MEDIA_OUTPUTS = {"images": "image_tokens", "speech": "audio_tokens"}


def outcome_of(
    plan: Plan,
    reading: Reading,
    *,
    http_status: int,
    error: str | None,
    started: float,
    first_byte_at: float | None,
) -> Outcome:
    """Return the outcome of a call that the upstream answered.

    `started` and `first_byte_at` are times of time.perf_counter().
    """
    outcome = Outcome(
        UsageStatus.SETTLED,
        usage=_final_usage(plan, reading),
        units=reading.units,
        model=reading.model,
        service_tier=reading.service_tier,
        http_status=http_status,
        latency_ms=_milliseconds(time.perf_counter() - started),
        first_byte_ms=None if first_byte_at is None else _milliseconds(first_byte_at - started),
        error=error or reading.error,
        size=reading.size,
        estimated_size=reading.size + plan.content.size,
    )
    if http_status >= _UNBILLED_FROM:
        outcome.status, outcome.usage = UsageStatus.FAILED, None
        outcome.error = outcome.error or f"http_{http_status}"
    elif outcome.usage is not None:
        if not reading.is_complete and outcome.error:
            outcome.status = UsageStatus.ESTIMATED  # a running total, which would have grown
        elif not reading.is_complete:
            outcome.error = "ended_early"
        if _can_estimate(plan):  # should the usage not be understood
            outcome.estimate = partial(_estimated, plan, reading)
    else:
        _without_usage(plan, reading, outcome)
    return outcome


def _final_usage(plan: Plan, reading: Reading) -> dict[str, Any] | None:
    """Return the usage that an answer states.

    None where the work has only begun, and for a total alone where something came back: prompt
    and answer have prices of their own.
    """
    usage = reading.usage
    if plan.endpoint.billing is Billing.LATER and not reading.has_counts:
        return None
    if plan.endpoint.has_answer and _total_alone(usage):
        return None
    kind = _MEDIA_OUTPUTS.get(plan.endpoint.name)
    return _with_output(usage, kind) if usage and kind else usage


def _with_output(usage: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a usage whose whole output is of a kind, unless it divides the output itself."""
    for name in ("output_tokens", "completion_tokens"):
        if usage.get(name) and not usage.get(f"{name}_details"):
            return usage | {f"{name}_details": {kind: usage[name]}}
    return usage


def _total_alone(usage: dict[str, Any] | None) -> int:
    """Return the total of a usage that counts nothing else, as MiniMax's may; else 0."""
    counts = {name: count for name, count in (usage or {}).items() if count}
    if len(counts) != 1 or not counts.keys() <= {*_TOTALS}:
        return 0
    [total] = counts.values()
    return total if type(total) is int and 0 < total <= SAFE_INTEGER_MAX else 0


def unanswered(error: str, *, may_be_billed: bool, started: float) -> Outcome:
    """Return the outcome of a call without an answer."""
    return Outcome(
        UsageStatus.UNKNOWN if may_be_billed else UsageStatus.FAILED,
        latency_ms=_milliseconds(time.perf_counter() - started),
        error=error,
    )


def abandoned(plan: Plan, *, started: float) -> Outcome:
    """Return the outcome of a call whose client left before the upstream answered."""
    outcome = Outcome(
        UsageStatus.ESTIMATED,
        latency_ms=_milliseconds(time.perf_counter() - started),
        error="client_gone",
        estimated_size=plan.content.size,
    )
    _without_usage(plan, Reading(), outcome)
    return outcome


def _without_usage(plan: Plan, reading: Reading, outcome: Outcome) -> None:
    """Decide the outcome of an answer that states no usage."""
    # However the transfer ended afterwards.
    if reading.error and (reading.has_failed or not reading.estimate_output()):
        outcome.status = UsageStatus.FAILED
        return
    if plan.endpoint.is_media and reading.audio_seconds is not None:
        outcome.status = UsageStatus.ESTIMATED
        outcome.estimate = partial(_estimated_audio, reading.audio_seconds)
        return
    if plan.endpoint.billing is Billing.LATER or not _can_estimate(plan):
        outcome.status = UsageStatus.UNKNOWN
        return
    outcome.status = UsageStatus.ESTIMATED
    outcome.estimate = partial(_estimated, plan, reading)
    if not reading.is_complete and not outcome.error:
        outcome.error = "ended_early"


def _can_estimate(plan: Plan) -> bool:
    """Return whether both prompt and answer are text."""
    return not plan.endpoint.is_media and plan.content.fields is None


def _estimated_audio(seconds: float) -> dict[str, Any]:
    return {"input_tokens": 0, "output_tokens": 0, "units": {"audio_seconds": seconds}}


def _estimated(plan: Plan, reading: Reading) -> dict[str, Any]:
    output = _estimated_output(plan, reading) if plan.endpoint.has_answer else 0
    if total := _total_alone(reading.usage):
        output = min(output, total)
        return {"input_tokens": total - output, "output_tokens": output}
    return {
        "input_tokens": estimates.prompt_tokens(plan.content.value),
        "output_tokens": output,
    }


def _estimated_output(plan: Plan, reading: Reading) -> int:
    """Return the estimated tokens, at most those that the request allows and reserved."""
    tokens = reading.estimate_output()
    allowed = bounds.allowed_output(plan.content.value, plan.endpoint)
    return tokens if allowed is None else min(tokens, allowed)


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 0)
