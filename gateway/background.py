"""Answers that the upstream works on in the background: settled by the poll that shows them."""

from uuid import UUID

from core import bridge
from core.scoping import Caller
from gateway import metering
from gateway.metering import MeteredCall, Outcome
from gateway.models import Call, CallState
from gateway.protocols.protocol import Reading
from usage.reports.reported_usage import UsageStatus

# OpenAI keeps answers of background calls for ten minutes, others for longer.
MAX_HOURS = 24


async def settle(project_id: UUID, reading: Reading) -> None:
    """Settle the background call whose result was shown; once, whoever polls for it."""
    call = await bridge.in_thread(_find, project_id, reading.response_id)
    if call is None:
        return
    status = UsageStatus.SETTLED if reading.usage else UsageStatus.FAILED
    if not (reading.usage or reading.error):
        status = UsageStatus.UNKNOWN
    outcome = Outcome(
        status,
        usage=reading.usage,
        model=reading.model,
        service_tier=reading.service_tier,
        http_status=200,
        error=reading.error,
    )
    await metering.settle(_metered(call), outcome)


def _find(project_id: UUID, response_id: str) -> Call | None:
    calls = Call.objects.filter(project_id=project_id, response_id=response_id)
    return calls.filter(state=CallState.BACKGROUND).first()


def _metered(call: Call) -> MeteredCall:
    """Return the call as it was admitted."""
    row = call.row
    return MeteredCall(
        id=call.id,
        caller=Caller(project_id=call.project_id, api_key_id=call.token_id),
        token_id=call.token_id,
        allowance_id=call.allowance_id,
        worker_id=call.worker_id,
        upstream=call.upstream,
        provider=row["provider"],
        model=row["model"],
        requested_model=row["requested_model"],
        started_at=call.started_at,
        reserved=call.reserved_usd,
        alias=row["alias"],
        profile=row["profile"],
        origin=row["origin"],
        metadata=row["metadata"],
    )
