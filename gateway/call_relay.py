"""One call: sent, relayed, and settled however it ends."""

import asyncio
import codecs
import logging
import time

import orjson

from core import bridge, media
from core.edge import MAX_PARSED_ON_LOOP, ClientDisconnected
from core.egress.http_answer import Answer
from core.errors import BodyTooLarge
from gateway import (
    background,
    billing,
    errors,
    headers,
    metrics,
    response_cache,
    upstream_call,
)
from gateway.decoding import Decoder, Undecodable
from gateway.exchange import Exchange
from gateway.metering import MeteredCall, Outcome
from gateway.planning import Plan
from gateway.protocols.protocol import Billing, ProtocolModule, Reading
from gateway.relay import Held, View, hold, stream
from gateway.settlement import Settlement

logger = logging.getLogger(__name__)

_BREAKER_STATUSES = (502, 503, 504)


class _Interrupted(Exception):
    """The client left before the upstream answered, and the upstream is not to go on."""


async def relay(exchange: Exchange, plan: Plan, call: MeteredCall | None) -> None:
    """Relay a call that was admitted, and settle it. `call` is None for one that is free.

    Raises the errors of gateway/errors.py while the client has got nothing.
    """
    started = time.perf_counter()
    plan.state.in_flight += 1
    settlement = Settlement(call, plan, exchange.request.id)
    try:
        await _relay(exchange, plan, settlement, started)
    except errors.GatewayError as error:
        await settlement.write(_unanswered(plan, error, started))
        _raise_for_body(plan)
        raise
    except _Interrupted:
        plan.state.breaker.abandoned()
        await settlement.write(billing.abandoned(plan, started=started))
    except BaseException as error:
        # Cancelled, or a bug: what was sent may be billed.
        plan.state.breaker.abandoned()
        name = type(error).__name__
        outcome = billing.unanswered(name, may_be_billed=True, started=started)
        await asyncio.shield(settlement.write(outcome))
        raise
    finally:
        plan.state.in_flight -= 1
        settlement.report()


def _unanswered(plan: Plan, error: errors.GatewayError, started: float) -> Outcome:
    """Return the outcome of a call that failed, and tell the breaker whose fault it was."""
    if plan.content.parts is not None and plan.content.parts.failure is not None:
        plan.state.breaker.abandoned()
        return billing.unanswered("request_incomplete", may_be_billed=False, started=started)
    plan.state.breaker.failed()
    _show_breaker(plan)
    may_be_billed = isinstance(error, errors.UpstreamBroken | errors.UpstreamTimeout)
    return billing.unanswered(error.code, may_be_billed=may_be_billed, started=started)


def _raise_for_body(plan: Plan) -> None:
    """Raise what was wrong with the client's body, rather than what became of the upstream's."""
    match plan.content.parts and plan.content.parts.failure:
        case BodyTooLarge() as error:
            raise errors.RequestTooLarge(str(error))
        case ClientDisconnected() as error:
            raise error


async def _relay(exchange: Exchange, plan: Plan, settlement: Settlement, started: float) -> None:
    response, held = await _answer(exchange, plan)
    try:
        plan.state.answered()
        if held is None and _is_stream(response, plan):
            await _relay_stream(exchange, plan, settlement, response, started)
        elif held is None and not _is_held(response, plan):
            await _relay_bytes(exchange, plan, settlement, response, started)
        else:
            held = held or await hold(response)
            await _relay_held(exchange, plan, settlement, response, held, started)
        plan.state.answered()
    finally:
        response.close()


async def _answer(exchange: Exchange, plan: Plan) -> tuple[Answer, Held | None]:
    """Return the upstream's answer, and its body where that had to be read.

    An upstream that refuses an option which only we had added is asked again without it.
    """
    response = await _send(exchange, plan)
    if not (plan.asks_for_usage and response.status in (400, 422)):
        return response, None
    held = await hold(response)
    refusal = await _plain(held.data, response) or b""
    if b"stream_options" not in refusal and b"include_usage" not in refusal:
        return response, held
    response.close()
    plan.state.refuses_usage_option = True
    plan.asks_for_usage = False
    plan.request = plan.request.with_body(plan.without_usage_option)
    return await _send(exchange, plan), None


async def _send(exchange: Exchange, plan: Plan) -> Answer:
    sending = upstream_call.send(plan.request, plan.upstream, plan.state)
    if plan.upstream.on_disconnect != "cancel" or plan.content.parts is not None:
        return await sending
    task, gone = asyncio.ensure_future(sending), asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise _Interrupted
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


def _is_stream(response: Answer, plan: Plan) -> bool:
    """Return whether events come: as the answer says, or as was asked for if it does not."""
    kind = _kind(response)
    return kind == "text/event-stream" or (plan.is_stream and _says_nothing(kind, response))


def _is_held(response: Answer, plan: Plan) -> bool:
    """Return whether the answer is read whole first: its row is durable when it arrives."""
    kind = _kind(response)
    return (
        "json" in kind
        or response.status in (204, 205, 304)
        or response.status >= 400
        or (plan.endpoint.billing is Billing.STATED and _says_nothing(kind, response))
    )


def _says_nothing(kind: str, response: Answer) -> bool:
    """Return whether a type is what servers send that do not care."""
    return kind in ("", "text/plain") and response.status < 300


def _kind(response: Answer) -> str:
    return response.header(b"content-type").partition(";")[0].strip().lower()


# --- Plain answers -------------------------------------------------------------


async def _relay_held(
    exchange: Exchange,
    plan: Plan,
    settlement: Settlement,
    response: Answer,
    held: Held,
    started: float,
) -> None:
    first_byte_at = time.perf_counter()
    reading = await _read(plan, held.data, response) if held.is_whole else Reading()
    _judge(plan, response.status, held.error, reading)
    await _settle_result(plan, reading)
    if reading.is_queued and reading.response_id and plan.content.value.get("background"):
        await settlement.leave_in_background(reading.response_id)
    elif held.is_whole:
        await settlement.write(
            billing.outcome_of(
                plan,
                reading,
                http_status=response.status,
                error=held.error,
                started=started,
                first_byte_at=first_byte_at,
            )
        )
    sent = headers.to_client(response.headers)
    if held.is_whole and not (held.error or reading.error or reading.is_queued):
        kept = {"status": response.status, "headers": sent, "body": held.data}
        sent = sent + await response_cache.keep(plan.cache_key, exchange.request, **kept)
    await _send_held(exchange, response, held, sent)
    if held.is_whole:
        return
    await _relay_bytes(exchange, plan, settlement, response, started)


async def _send_held(
    exchange: Exchange,
    response: Answer,
    held: Held,
    sent: list[tuple[str, str]],
) -> None:
    if held.error is not None or not held.is_whole:
        await exchange.start(response.status, sent, length=_stated_length(response))
        await exchange.write(held.data)
        return
    await exchange.start(response.status, sent, length=_length(exchange, response, held.data))
    await exchange.finish(held.data)


def _length(exchange: Exchange, response: Answer, data: bytes) -> int | None:
    if response.status in (204, 304):
        return None
    return _stated_length(response) if exchange.request.method == "HEAD" else len(data)


def _stated_length(response: Answer) -> int | None:
    stated = response.header(b"content-length")
    return int(stated) if stated.isdigit() else None


async def _read(plan: Plan, data: bytes, response: Answer) -> Reading:
    plain = await _plain(data, response)
    if plain is None:
        return Reading()
    if len(plain) > MAX_PARSED_ON_LOOP:
        return await bridge.in_thread(_read_json, plan.protocol, plain)
    return _read_json(plan.protocol, plain)


async def _plain(data: bytes, response: Answer) -> bytes | None:
    """Return an answer without its coding; None for one that cannot be decoded."""
    coding = response.header(b"content-encoding")
    if not coding or coding.lower() == "identity":
        return data
    try:
        return await bridge.in_thread(Decoder(coding).feed, data)
    except Undecodable:
        return None


def _read_json(protocol: ProtocolModule, data: bytes) -> Reading:
    try:
        return protocol.read_answer(orjson.loads(data.removeprefix(codecs.BOM_UTF8)))
    except orjson.JSONDecodeError:
        reader = protocol.StreamReader()
        reader.see(data)  # as much of it as there is
        return reader.reading()


async def _settle_result(plan: Plan, reading: Reading) -> None:
    """Settle a call in the background whose result this answer shows."""
    if plan.endpoint.shows_result and reading.response_id and not reading.is_queued:
        await background.settle(plan.project_id, reading)


# --- Streams ---------------------------------------------------------------------


async def _relay_stream(
    exchange: Exchange,
    plan: Plan,
    settlement: Settlement,
    response: Answer,
    started: float,
) -> None:
    reader = plan.protocol.StreamReader()
    view = View(
        reader,
        hides=plan.protocol.is_usage_event if plan.asks_for_usage else None,
        coding=response.header(b"content-encoding"),
    )
    sent = headers.to_client(response.headers)
    if view.is_decoded:
        sent = [pair for pair in sent if pair[0].lower() != "content-encoding"]
    await exchange.start(response.status, sent)
    streams = metrics.streams(plan.upstream.name)
    streams.inc()
    try:
        ended = await stream(response, exchange, view, plan.upstream)
    finally:
        streams.dec()
    rest = view.finish()
    reading = reader.reading()
    error = ended.error
    _judge(plan, response.status, None if error == "client_gone" else error, reading)
    await _settle_result(plan, reading)
    await settlement.write(
        billing.outcome_of(
            plan,
            reading,
            http_status=response.status,
            error=error,
            started=started,
            first_byte_at=ended.first_byte_at,
        )
    )
    if error is None:
        await exchange.finish(rest)
    elif not exchange.is_gone:
        broken = errors.UpstreamBroken("The upstream's answer broke off")
        # The event that broke off gets an end, or ours would be read as part of it.
        await exchange.write(rest + b"\n\n" + plan.protocol.error_event(broken, media.dumps))


async def _relay_bytes(
    exchange: Exchange,
    plan: Plan,
    settlement: Settlement,
    response: Answer,
    started: float,
) -> None:
    """Relay an answer that states no usage: audio, files, text."""
    length = None
    if not exchange.is_started:
        length = _stated_length(response)
        sent = headers.to_client(response.headers)
        await exchange.start(response.status, sent, length=length)
    view = View(None, hides=None, coding=None)
    ended = await stream(response, exchange, view, plan.upstream, length=length)
    error = ended.error
    _judge(plan, response.status, None if error == "client_gone" else error, Reading())
    await settlement.write(
        billing.outcome_of(
            plan,
            Reading(),
            http_status=response.status,
            error=error,
            started=started,
            first_byte_at=ended.first_byte_at,
        )
    )
    if error is None:
        await exchange.finish(ended.rest)


def _judge(plan: Plan, status: int, error: str | None, reading: Reading) -> None:
    """Tell the breaker how the upstream did."""
    if error or status in _BREAKER_STATUSES or (status < 400 and reading.error):
        plan.state.breaker.failed()
    elif status >= 400:
        plan.state.breaker.abandoned()
    else:
        plan.state.breaker.succeeded()
    _show_breaker(plan)


def _show_breaker(plan: Plan) -> None:
    shown = plan.state.breaker.state.value
    if shown != plan.state.shown_breaker:
        plan.state.shown_breaker = shown
        metrics.breaker(plan.upstream.name, shown)
