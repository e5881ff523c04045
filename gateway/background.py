"""Background answers of upstreams, settled by the poll that returns them."""

from functools import partial
from typing import NamedTuple
from uuid import UUID

from core import bridge
from core.scoping import Caller
from gateway import metering, reporting
from gateway.metered_calls import MeteredCall, Outcome
from gateway.models import Call, CallState
from gateway.protocols.protocol import Reading
from usage.reports.reported_usage import UsageStatus

# OpenAI keeps answers of background calls for ten minutes, others for longer.
MAX_HOURS = 24


class AnswerKey(NamedTuple):
    """What identifies an answer. Its id is the upstream's own."""

    project_id: UUID
    upstream: str
    response_id: str


# Calls that this worker has yet to store, because the database is unavailable.
_unkept: dict[AnswerKey, MeteredCall] = {}
# Answers whose calls this worker is settling.
_settling: set[AnswerKey] = set()


async def keep(call: MeteredCall, response_id: str) -> None:
    """Leave the call to the poll that will show its usage, as soon as the database is available.

    A poll of this worker finds it even before that.
    """
    write = partial(metering.keep_in_background, call, response_id)
    try:
        await write()
    except metering.WRITE_ERRORS:
        key = AnswerKey(call.caller.project_id, call.upstream, response_id)
        _unkept[key] = call
        metering.retry_later(write).add_done_callback(lambda task: _unkept.pop(key, None))


async def upstream_of(project_id: UUID, response_id: str) -> str | None:
    """Return the name of the upstream that works on an answer; None if none is known to.

    One query.
    """
    for project, upstream, id in _unkept:
        if (project, id) == (project_id, response_id):
            return upstream
    calls = Call.objects.filter(project_id=project_id, response_id=response_id)
    return await bridge.in_thread(calls.values_list("upstream", flat=True).first)


async def settle(key: AnswerKey, reading: Reading, request_id: str) -> None:
    """Settle a background call by the answer to a poll, as soon as the database is available.

    It is settled once, whoever polls. An answer without its result changes nothing.
    """
    if key in _settling or not _is_result(reading, key.response_id):
        return
    _settling.add(key)
    write, later = partial(_settle, key, reading, request_id), None
    try:
        await write()
    except metering.WRITE_ERRORS:
        later = metering.retry_later(write)
        later.add_done_callback(lambda task: _settling.discard(key))
    finally:
        if later is None:
            _settling.discard(key)


def _is_result(reading: Reading, response_id: str) -> bool:
    """Return whether an answer states the usage of its call, or that there will be none.

    Some upstreams state the usage later than the rest. An error may be the poll's own.
    """
    if reading.is_queued:
        return False
    has_ended = reading.error is not None or reading.is_deleted
    return bool(reading.usage) or (has_ended and reading.response_id == response_id)


async def _settle(key: AnswerKey, reading: Reading, request_id: str) -> None:
    call = _unkept.get(key) or await bridge.in_thread(_find, *key)
    if call is None:
        return
    row = await metering.settle_polled(call, _outcome(reading))
    _unkept.pop(key, None)
    if row is not None:
        reporting.settled(row, request_id)


def _outcome(reading: Reading) -> Outcome:
    status = UsageStatus.SETTLED if reading.usage else UsageStatus.FAILED
    if not (reading.usage or reading.error):
        status = UsageStatus.UNKNOWN
    return Outcome(
        status,
        usage=reading.usage,
        units=reading.units,
        model=reading.model,
        service_tier=reading.service_tier,
        http_status=200,
        error=reading.error,
        size=reading.size,
    )


def _find(project_id: UUID, upstream: str, response_id: str) -> MeteredCall | None:
    calls = Call.objects.filter(project_id=project_id, response_id=response_id)
    call = calls.filter(upstream=upstream, state=CallState.BACKGROUND).first()
    return call and _metered(call)


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
        price_terms=row.get("modifiers") or {},
    )
