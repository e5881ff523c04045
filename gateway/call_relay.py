"""One call: sent, relayed, and settled however it ends."""

import asyncio
import time
from functools import partial

from core import bridge, json_writer
from core.edge_request import ClientDisconnected
from core.egress.http_answer import Answer
from core.errors import BodyTooLarge
from gateway import background, billing, errors, headers, metrics, response_cache, upstream_call
from gateway.answer import answers, estimates, secret_masking
from gateway.answer.secret_masking import StreamMask
from gateway.breaker import Attempt
from gateway.exchange import ClientGone, Exchange
from gateway.metered_calls import MeteredCall, Outcome
from gateway.protocols.protocol import Billing, Reading, StreamReader
from gateway.relay import Held, View, beginning, hold, stream
from gateway.request.plan import Plan
from gateway.settlement import Settlement

_BREAKER_STATUSES = (502, 503, 504)
# Errors that say nothing about the upstream's health.
_NEUTRAL = (errors.RequestIncomplete, errors.UpstreamRedirects)
# Reasons for which a transfer ends without any fault of the upstream.
_NOT_OF_UPSTREAM = ("client_gone", errors.RequestIncomplete.code, errors.ServerStopped.code)
_STOPPED = "The server is stopped"
_INCOMPLETE = "The client did not send all of its body"
_STOP_SECONDS = 3
_MAX_CODE = 64
_running: set[asyncio.Task] = set()


async def stop() -> None:
    """Wait a few seconds for canceled calls to be settled."""
    if _running:
        await asyncio.wait(_running, timeout=_STOP_SECONDS)


class CallRelay:
    """A call that was admitted. `call` is None for one that is free."""

    def __init__(
        self, exchange: Exchange, plan: Plan, call: MeteredCall | None, attempt: Attempt
    ) -> None:
        self._exchange = exchange
        self._plan = plan
        self._attempt = attempt
        self._settlement = Settlement(call, plan, exchange.request.id)
        self._started = time.perf_counter()
        self._ends_at = upstream_call.deadline(plan.upstream)

    async def run(self) -> None:
        """Relay the call, and settle it.

        Raises the errors of gateway/errors.py as long as nothing has been sent to the client.
        """
        state, task = self._plan.state, asyncio.current_task()
        state.calls.count += 1
        _running.add(task)
        try:
            await self._relay()
        except errors.GatewayError as error:
            await self._settlement.write(self._unanswered(error))
            _raise_for_body(self._plan)
            raise
        except ClientGone:
            self._attempt.abandoned()
            await self._settlement.write(billing.abandoned(self._plan, started=self._started))
        except asyncio.CancelledError as error:
            stopped = errors.ServerStopped(_STOPPED)
            await self._leave(stopped.code)
            raise stopped from error
        except BaseException as error:  # a bug
            await self._leave(type(error).__name__)
            raise
        finally:
            _running.discard(task)
            state.calls.count -= 1
            self._settlement.report()

    async def _leave(self, error: str) -> None:
        """Settle a call that nobody waits for any more: what was sent may be billed."""
        self._attempt.abandoned()
        outcome = billing.unanswered(error, may_be_billed=True, started=self._started)
        await self._settlement.write(outcome)

    def _unanswered(self, error: errors.GatewayError) -> Outcome:
        """Return the outcome of a call that failed, and tell the breaker whose fault it was."""
        upload = self._plan.content.parts
        if upload is not None and upload.failure is not None:
            error = errors.RequestIncomplete(_INCOMPLETE)
        if isinstance(error, _NEUTRAL):
            self._attempt.abandoned()
        else:
            self._attempt.failed()
        self._export_breaker()
        may_be_billed = isinstance(error, errors.UpstreamBroken | errors.UpstreamTimeout)
        return billing.unanswered(error.code, may_be_billed=may_be_billed, started=self._started)

    async def _relay(self) -> None:
        answer, held = await self._answer()
        try:
            if held is not None or self._plan.edit is not None:
                await self._relay_held(answer, held or await self._hold(answer))
            elif await self._is_stream(answer):
                await self._relay_stream(answer)
            elif answers.is_held(answer, self._plan):
                await self._relay_held(answer, await self._hold(answer))
            else:
                await self._relay_bytes(answer)
        finally:
            answer.close()

    async def _is_stream(self, answer: Answer) -> bool:
        plan = self._plan
        if not answers.may_be_stream(answer, plan):
            return answers.is_stream(answer, plan)
        return answers.begins_stream(await beginning(answer, self._exchange, plan.upstream))

    async def _answer(self) -> tuple[Answer, Held | None]:
        """Return the upstream's answer, and its body where that had to be read.

        An upstream that refuses an option which only we had added is asked again without it.
        """
        plan = self._plan
        answer = await self._send()
        if not (plan.asks_for_usage and answer.status in (400, 422)):
            return answer, None
        held = await self._hold(answer)
        refusal = await answers.decoded(held.data, answer) or b""
        is_of_option = b"stream_options" in refusal or b"include_usage" in refusal
        if not is_of_option or await self._exchange.has_gone_within(0):
            return answer, held
        answer.close()
        plan.asks_for_usage = False
        plan.request = plan.request.with_body(plan.without_usage_option)
        answer = await self._send()
        is_plain = plan.content.value.get("stream") is True  # else it may refuse it for that alone
        if is_plain and answer.status < 400:  # else the refusal only quoted it
            plan.state.note_refused_usage_option(plan.request.url)
        return answer, None

    async def _send(self) -> Answer:
        plan = self._plan
        sending = upstream_call.send(
            plan.request,
            plan.upstream,
            ends_at=self._ends_at,
            has_gone_within=self._exchange.has_gone_within,
        )
        if plan.upstream.on_disconnect == "cancel" and plan.content.parts is None:
            return await self._exchange.unless_gone(sending)
        return await sending

    async def _hold(self, answer: Answer) -> Held:
        return await hold(answer, self._exchange, self._plan.upstream)

    async def _relay_held(self, answer: Answer, held: Held) -> None:
        plan = self._plan
        if plan.edit is not None and held.error == "client_gone":
            raise ClientGone
        if plan.edit is not None and (held.error or not held.is_whole):
            raise errors.UpstreamBroken("The upstream's answer did not come whole")
        if not held.is_whole:
            await self._relay_long(answer, held)
            return
        plain = await answers.decoded(held.data, answer)
        if plain is None and answers.is_decodable(answer) and self._passes(answer):
            await self._relay_long(answer, held)  # decoded, it is too long to be read at once
            return
        if plain is None:
            unread = partial(estimates.tokens_of_unread, len(held.data))
            reading = Reading(estimate_output=unread)
        else:
            reading = await answers.read(plain, plan.protocol)
        await self._settle(answer.status, held.error, reading, held.first_byte_at)
        if plain is None and plan.edit is not None:
            raise errors.UpstreamBroken("The upstream's answer cannot be decoded")
        is_error = answer.status >= 400 or reading.error
        if plan.secret and (is_error or (plain is not None and self._may_be_error(reading))):
            await self._mask_held(held, plain)
        elif plain is not None:
            held.replace(plain)
        sent = headers.to_client(answer.headers, secret=plan.secret)
        if held.is_replaced or plan.edit is not None:
            sent = headers.of_edited(sent, kind=held.kind)
        if not (held.error or reading.error or reading.is_queued):
            sent = sent + await response_cache.store(
                plan.cache_key,
                self._exchange.request,
                status=answer.status,
                headers=sent,
                body=held.data,
            )
        if plan.edit is not None and answer.status < 300:
            held.data = await bridge.in_thread_if_large(len(held.data), plan.edit, held.data)
        await self._send_held(answer, held, sent)

    def _may_be_error(self, reading: Reading) -> bool:
        """Return whether an answer may refuse a call in words that nobody here knows."""
        return self._plan.endpoint.billing is Billing.STATED and not reading.usage

    def _passes(self, answer: Answer) -> bool:
        """Return whether the answer passes without being changed."""
        return self._plan.edit is None and answer.status < 400

    async def _mask_held(self, held: Held, plain: bytes | None) -> None:
        """Mask the upstream's key in an error; replace an error that cannot be searched for it."""
        plan = self._plan
        if plain is None:
            error = errors.UpstreamUndecodable("The upstream's error came in an unknown coding")
            body = json_writer.dumps(plan.protocol.error_body(error))
            held.replace(body, kind="application/json")
        else:
            masked = await bridge.in_thread_if_large(
                len(plain), secret_masking.in_error, plain, plan.secret
            )
            held.replace(masked)

    async def _send_held(self, answer: Answer, held: Held, sent: list[tuple[str, str]]) -> None:
        if held.error is not None:
            length = None if held.is_replaced else answers.stated_length(answer)
            await self._exchange.start(answer.status, sent, length=length)
            await self._exchange.write(held.data)
            return
        if answer.status in (204, 304):
            length = None
        elif self._exchange.request.method == "HEAD":
            length = answers.stated_length(answer)
        else:
            length = len(held.data)
        await self._exchange.start(answer.status, sent, length=length)
        await self._exchange.finish(held.data)

    async def _relay_long(self, answer: Answer, held: Held) -> None:
        """Relay an answer that is too long to be held, and read it as one long event."""
        if self._plan.secret and answer.status >= 400:
            answer.unread(held.data)
            await self._relay_stream(answer)
            return
        reader = self._plan.protocol.StreamReader()
        endpoint = self._plan.endpoint
        is_read = endpoint.billing is Billing.STATED or endpoint.shows_result
        view = View(reader if is_read else None, answer=answer)
        length = answers.stated_length(answer)
        sent = headers.to_client(answer.headers, secret=self._plan.secret)
        left = None if length is None else length - len(held.data)
        await self._exchange.start(answer.status, sent, length=length)
        if left != 0:  # with the last piece the client has all
            await self._exchange.write(held.data)
        if is_read:
            await view.skim(held.data)
        ended = await stream(answer, self._exchange, view, self._plan.upstream, length=left)
        await view.finish()
        reading = _reading(reader, view)
        reading.is_complete = ended.error is None
        await self._settle(answer.status, ended.error, reading, held.first_byte_at)
        if ended.error is None:
            await self._exchange.finish(held.data if left == 0 else ended.rest)

    async def _relay_stream(self, answer: Answer) -> None:
        plan, exchange = self._plan, self._exchange
        reader = plan.protocol.StreamReader()
        view = View(
            reader,
            hides=plan.protocol.is_usage_event if plan.asks_for_usage else None,
            answer=answer,
            decodes=True,  # it was not to come coded, and not every client can read it
            mask=self._mask(answer),
        )
        sent = headers.to_client(answer.headers, secret=plan.secret)
        if view.is_decoded:
            sent = headers.without_coding(sent)
        await exchange.start(answer.status, sent)
        streams = metrics.streams(plan.upstream.name)
        streams.inc()
        try:
            ended = await stream(answer, exchange, view, plan.upstream, on_first_data=self._begun)
        finally:
            streams.dec()
        rest = await view.finish()
        await self._settle(answer.status, ended.error, _reading(reader, view), ended.first_byte_at)
        if ended.error is None:
            await exchange.finish(rest)
        elif not exchange.is_gone:
            # The event that broke off gets an end, or ours would be read as part of it.
            reason = _reason(ended.error)
            event = plan.protocol.error_event(reason, plan.endpoint, json_writer.dumps)
            await exchange.write(rest + b"\n\n" + event)

    def _mask(self, answer: Answer) -> StreamMask | None:
        plan = self._plan
        if not plan.secret:
            return None
        return StreamMask(plan.secret, is_error=self._is_error if answer.status < 400 else bool)

    def _is_error(self, event: bytes) -> bool:
        """Return whether an event may be an error, be it in words that nobody here knows."""
        protocol = self._plan.protocol
        return protocol.is_error_event(event) or not protocol.is_answer_event(event)

    async def _relay_bytes(self, answer: Answer) -> None:
        """Relay an answer that states no usage: audio, files, text."""
        length = answers.stated_length(answer)
        sent = headers.to_client(answer.headers, secret=self._plan.secret)
        await self._exchange.start(answer.status, sent, length=length)
        view = View(None)
        ended = await stream(
            answer,
            self._exchange,
            view,
            self._plan.upstream,
            length=length,
            on_first_data=self._begun,
        )
        await self._settle(answer.status, ended.error, Reading(), ended.first_byte_at)
        if ended.error is None:
            await self._exchange.finish(ended.rest)

    async def _settle(
        self, status: int, error: str | None, reading: Reading, first_byte_at: float | None
    ) -> None:
        """Settle the call, and one in the background whose result this answer shows.

        A call that the upstream goes on with in the background is left to the poll for it.
        """
        plan = self._plan
        if reading.error:
            reading.error = _storable(reading.error, plan.secret)
        self._judge(status, error, reading)
        if reading.is_queued and reading.response_id and plan.content.value.get("background"):
            await self._settlement.leave_in_background(reading.response_id)
            return
        if plan.endpoint.shows_result and status < 400:
            key = background.AnswerKey(plan.project_id, plan.upstream.name, plan.response_id)
            await background.settle(key, reading, self._exchange.request.id)
        outcome = await bridge.in_thread_if_large(
            reading.size,
            billing.outcome_of,
            plan,
            reading,
            http_status=status,
            error=error,
            started=self._started,
            first_byte_at=first_byte_at,
        )
        await self._settlement.write(outcome)

    def _judge(self, status: int, error: str | None, reading: Reading) -> None:
        """Tell the breaker how the upstream did."""
        if error in _NOT_OF_UPSTREAM:
            error = None
        # What else has an error in it is the state of an object that was looked at.
        is_call = self._plan.endpoint.billing is Billing.STATED
        inside = reading.error if is_call and status < 400 else None
        is_of_request = bool(inside) and self._plan.protocol.blames_request(inside)
        if error or status in _BREAKER_STATUSES or (inside and not is_of_request):
            self._attempt.failed()
        elif status >= 400 or is_of_request:
            self._attempt.abandoned()
        else:
            self._attempt.succeeded()
        self._export_breaker()

    def _begun(self, status: int) -> None:
        """Tell the breaker that an answer has begun to come."""
        if status < 400:
            self._attempt.begun()
            self._export_breaker()

    def _export_breaker(self) -> None:
        state = self._plan.state
        current = state.breaker.state
        if current is not state.exported_breaker:
            state.exported_breaker = current
            metrics.breaker(self._plan.upstream.name, current)


def _reading(reader: StreamReader, view: View) -> Reading:
    """Return what a stream has said, with an estimate of what of it nobody could read."""
    reading = reader.reading()
    if view.unread:
        tokens = reading.estimate_output() + estimates.tokens_of_unread(view.unread)
        reading.estimate_output = lambda: tokens
    return reading


def _storable(code: str, secret: str | None) -> str:
    """Return an upstream's error code, which may be a text that quotes its key.

    It is masked before it is shortened: otherwise half of a key might stay.
    """
    return (code.replace(secret, "***") if secret else code)[:_MAX_CODE]


def _reason(error: str) -> errors.GatewayError:
    """Return the error that is sent to the client of a stream that broke off."""
    match error:
        case errors.ServerStopped.code:
            return errors.ServerStopped(_STOPPED)
        case errors.RequestIncomplete.code:
            return errors.RequestIncomplete(_INCOMPLETE)
    return errors.UpstreamBroken("The upstream's answer broke off")


def _raise_for_body(plan: Plan) -> None:
    """Raise the error of the client's body, if that is why the upstream's request failed."""
    match plan.content.parts and plan.content.parts.failure:
        case BodyTooLarge() as error:
            raise errors.RequestTooLarge(str(error))
        case ClientDisconnected() as error:
            raise error
