"""A call's part of its token's limits: reserved and stored, or refused."""

from datetime import UTC, datetime

from core import ids
from gateway import errors, metering
from gateway.holders import Holder
from gateway.planning import Plan
from gateway.worker import worker


async def admit(made: Plan, holder: Holder) -> metering.MeteredCall:
    """Return the call, reserved and stored. Raises LimitExceeded, BudgetExceeded, RateLimited."""
    worker.starts_call()
    at = datetime.now(UTC)
    call = metering.MeteredCall(
        id=ids.uuid7(at),
        caller=holder.caller,
        token_id=holder.token_id,
        allowance_id=holder.allowance_id,
        worker_id=worker.id,
        upstream=made.upstream.name,
        provider=made.upstream.priced_as,
        requested_model=made.requested_model or made.endpoint.name,
        started_at=at,
        reserved=made.reserved,
        alias=made.alias,
        profile=made.profile,
        origin=made.origin,
        metadata=made.metadata,
    )
    admission = await metering.admit(call)
    match admission.refusal:
        case "":
            return call
        case "budget":
            raise errors.BudgetExceeded("The token's budget does not cover this call")
        case "requests_per_minute":
            raise errors.RateLimited(
                "The token's requests of this minute are used up",
                retry_after=int(admission.seconds_to_next_minute) + 1,
            )
        case "max_requests":
            raise errors.LimitExceeded("Rate limit exceeded: the token's requests are used up")
    raise errors.TokenNotFound("Token not found")
