"""How an upstream's answer is relayed, and the usage that it states."""

import codecs
from functools import cache

from core import bridge, memory
from core.codings import Undecodable
from core.egress.http_answer import Answer
from gateway.answer import lenient_json, number_lists
from gateway.answer.decoding import Decoder, decoder_of, is_decodable
from gateway.protocols.protocol import Billing, ProtocolModule, Reading
from gateway.request.plan import Plan

# Of `data`, `event`, `id`, `retry` and a comment.
_EVENT_STARTS = (b"d", b"e", b"i", b"r", b":")
_SUBTITLES = "application/x-subrip"


def is_stream(answer: Answer, plan: Plan) -> bool:
    """Return whether the answer is a stream of events, by its type or else by the request.

    Clients that asked for events read them whatever the stated type.
    """
    kind = _content_type(answer)
    if kind == "text/event-stream":
        return answer.status < 400 or is_decodable(answer)
    return plan.is_stream and "json" not in kind and _may_be_text(kind, answer, plan)


def may_be_stream(answer: Answer, plan: Plan) -> bool:
    """Return whether an answer of type JSON may be the stream that was asked for."""
    kind = _content_type(answer)
    return plan.is_stream and "json" in kind and answer.status < 300 and is_decodable(answer)


def begins_stream(data: bytes) -> bool:
    """Return whether an answer with these first bytes is a stream of events, and not JSON."""
    return data.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in _EVENT_STARTS


def is_held(answer: Answer, plan: Plan) -> bool:
    """Return whether the whole answer is read, and its row stored, before anything is sent."""
    kind = _content_type(answer)
    return (
        "json" in kind
        or answer.status in (204, 205, 304)
        or answer.status >= 400
        or (plan.endpoint.billing is Billing.STATED and _may_be_text(kind, answer, plan))
    )


def _may_be_text(kind: str, answer: Answer, plan: Plan) -> bool:
    """Return whether the answer may be events or JSON although its type is another one.

    It may be a server's default, such as `application/octet-stream`. For pictures and sound
    that is a type of their own.
    """
    is_text = kind in ("", _SUBTITLES) or kind.startswith("text/")
    return (is_text or not plan.endpoint.is_media) and answer.status < 300


def _content_type(answer: Answer) -> str:
    return answer.header(b"content-type").partition(";")[0].strip().lower()


def stated_length(answer: Answer) -> int | None:
    """Return the `Content-Length`; None without one."""
    stated = answer.header(b"content-length")
    return int(stated) if stated.isascii() and stated.isdigit() else None


async def decoded(data: bytes, answer: Answer) -> bytes | None:
    """Return an answer's body without its content coding; None for one that cannot be decoded.

    None for a truncated one, too: decoded, it would look complete.
    """
    try:
        decoder = decoder_of(answer)
        if decoder is None or not data:
            return data
        return await bridge.in_thread(_decoded, data, decoder)
    except Undecodable:
        return None


def _decoded(data: bytes, decoder: Decoder) -> bytes | None:
    plain = decoder.feed(data)
    # Some servers leave out what follows the last byte.
    return plain if decoder.is_at_end or lenient_json.is_json(plain) else None


async def read(data: bytes, protocol: ProtocolModule) -> Reading:
    """Return the usage and the errors that a body states."""
    if len(data) > bridge.MAX_ON_LOOP:
        return await bridge.in_thread(_read_large, data, protocol)
    return _read(data, protocol)


def _read_large(data: bytes, protocol: ProtocolModule) -> Reading:
    """Read a body, and free its values here: the event loop would take long.

    They are read again, and whole, in the rare case that its text is to be estimated.
    """
    with memory.gc_paused():
        reading = _read(number_lists.emptied(data), protocol)
        reading.size = len(data)
        reading.estimate_output = cache(lambda: _read(data, protocol).estimate_output())
    return reading


def _read(data: bytes, protocol: ProtocolModule) -> Reading:
    try:
        value = lenient_json.loads(data)
    except ValueError:
        return protocol.read_text(data)
    return protocol.read_answer(value)
