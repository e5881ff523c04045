"""A call's part of its token's limits: reserved and stored, or refused."""

from datetime import UTC, datetime

from accounts.limits.allowances import Refusal
from core import ids
from gateway import errors, metering
from gateway.holders import Holder
from gateway.metered_calls import MeteredCall
from gateway.request.plan import Plan
from gateway.worker import worker


async def admit(made: Plan, holder: Holder) -> MeteredCall:
    """Return the call, reserved and stored. Raises RequestsUsedUp, BudgetExceeded, RateLimited."""
    worker.starts_call()
    at = datetime.now(UTC)
    call = MeteredCall(
        id=ids.uuid7(at),
        caller=holder.caller,
        token_id=holder.token_id,
        allowance_id=holder.allowance_id,
        worker_id=worker.id,
        upstream=made.upstream.name,
        provider=made.upstream.priced_as,
        model=made.model[:255] or made.endpoint.name,
        requested_model=made.requested_model or made.endpoint.name,
        started_at=at,
        reserved=made.reserved,
        alias=made.alias,
        profile=made.profile,
        origin=made.origin,
        metadata=made.metadata,
        price_terms=made.price_terms,
    )
    admission = await metering.admit(call)
    if not admission.refusal:
        return call
    match Refusal(admission.refusal):
        case Refusal.BUDGET:
            raise errors.BudgetExceeded("The token's budget does not cover this call")
        case Refusal.REQUESTS_PER_MINUTE:
            raise errors.RateLimited(
                "The token's requests of this minute are used up",
                retry_after=int(admission.seconds_to_next_minute) + 1,
            )
        case Refusal.MAX_REQUESTS:
            raise errors.RequestsUsedUp("Rate limit exceeded: the token's requests are used up")
        case Refusal.GONE:
            raise errors.TokenNotFound("Token not found")
