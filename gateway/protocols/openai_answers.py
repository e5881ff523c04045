"""What OpenAI's answers say of themselves: usage, model, errors, and whether they are whole.

The numbers themselves are read by usage/reports/, as those of any report.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from json import JSONDecoder
from typing import Any

import orjson

from core import bridge
from gateway.answer import lenient_json
from gateway.answer.estimates import tokens_of
from gateway.answer.event_stream import COLON, USAGE, data_of, last_end, split
from gateway.protocols import subtitles
from gateway.protocols.protocol import Reading

# Searched in every chunk of every stream, so each begins with a literal: then Python's `re`
# looks for that alone, which takes a tenth of the time. Within a JSON text a quote is
# escaped, so none of these names, closed by a plain quote, is found inside of a text.
_TEXT = re.compile(
    rb'"(content|text|delta|arguments|input|reasoning|reasoning_content|thinking|refusal'
    rb'|transcript)"\s*:\s*'
    # Possessive, because each escape of a long text would be kept to return to. An answer may be
    # cut off.
    rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\Z)'
)
# The same for long events, in two steps: no other thread runs while a pattern is matched.
_TEXT_BEGINS = re.compile(_TEXT.pattern.partition(rb"([^")[0])
_TEXT_PIECE = re.compile(rb'(?:[^"\\]{1,64}+|\\.){1,1024}+')
_TOOL_USAGE = re.compile(rb'"tool_usage"%s\{' % COLON)
_TIER = re.compile(rb'"service_tier"%s"(\w+)"' % COLON)
_MODEL = re.compile(rb'"model"%s"([^"\\]+)"' % COLON)
_ERROR = re.compile(
    rb'"(?:error"%s[^nf\s]|errors"%s\[|success"%sfalse'
    rb'|(?:type|object|finish_reason)"%s"(?:error|response\.failed)"|base_resp"%s\{'
    rb'|(?:error_)?code"%s[1-9"]|detail"%s["\[{])' % (7 * (COLON,))
)
# Of an event that is called so, and of llama.cpp, which once had a field of its own.
_ERROR_LINE = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])(?:event: ?error\b|error: ?\{)")
# Codes of errors that another request would not have had. The numbers are HTTP's, and those of
# four digits MiniMax's, of which a few are for failures of its own.
_OF_REQUEST = re.compile(
    r"4\d\d|(?!1000|1001|1013|1024|1033)[12]\d{3}"
    r"|(?!.*(?:server|internal|timeout|overloaded|unavailable))"
    r".*(?:invalid|rate_limit|quota|billing|policy|filter|moderation|not_found|image"
    r"|unsupported|permission|authentication|too_(?:long|large|many)|length_exceeded).*",
    re.DOTALL,
)
# What an error has that is not inside of a member of its own, and what only an answer has.
_CODES = ("code", "error_code")
_MESSAGES = ("message", "msg", "error_msg")
_RESULTS = ("choices", "output", "data", "object", "usage")
_WENT_WELL = re.compile("0*|2[0-9][0-9]|ok|success", re.IGNORECASE)
_DONE = b"[DONE]"
_END = re.compile(
    rb'"(?:finish_reason"%s"|type"%s"(?:response\.(?:completed|incomplete|failed|cancelled|done)'
    rb"|image_generation\.completed|image_edit\.completed|transcript\.text\.done"
    rb'|speech\.audio\.done)")' % (COLON, COLON)
)
_PART = re.compile(
    rb'"(?:choices"%s\[|type"%s"(?:response|transcript|speech|image_\w+)\.)' % (COLON, COLON)
)
# Events that have no text of their own: it came in deltas, or will.
_TYPE = re.compile(rb'"type"%s"(response\.[\w.]+)"' % COLON)
_DELTA = b".delta"
_REPEATED = (b".done", b".completed", b".incomplete", b".failed", b".cancelled")
_ID = re.compile("[^\0\ud800-\udfff]{1,255}")
_SECONDS = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?")
_MAX_SECONDS = 10_000_000
_MAX_USAGE = 32 * 1024  # bytes; half of what parts of an event have in common
_JSON = JSONDecoder()  # which can stop after a value


def is_usage_event(event: bytes) -> bool:
    """Return whether an event says the usage of a chat and nothing else."""
    if not USAGE.search(event):
        return False
    chunk = _value_of(event)
    return (
        not chunk.get("choices") and isinstance(chunk.get("usage"), dict) and not chunk.get("error")
    )


def is_error_event(event: bytes) -> bool:
    """Return whether an event may say that something went wrong."""
    has_word = b"error" in event or b"response.failed" in event or b"base_resp" in event
    has_word = has_word or b'"code"' in event or b'"success"' in event or b'"detail"' in event
    if not has_word:  # most, by far
        return False
    return bool(_ERROR.search(event) or _ERROR_LINE.search(event))


def is_answer_event(event: bytes) -> bool:
    """Return whether an event is a part of an answer."""
    return _PART.search(event) is not None


def _is_end(events: bytes) -> bool:
    """Return whether an event says that the answer is over."""
    return _DONE in events or _END.search(events) is not None


def blames_request(code: str) -> bool:
    """Return whether an error of this code is of the request, or of its project's account."""
    return _OF_REQUEST.fullmatch(code.lower()) is not None


class StreamReader:
    """Reads a stream of events; parses only those that state usage or an error."""

    def __init__(self) -> None:
        self.has_data = False
        self._stated: Reading | None = None
        self._error: str | None = None
        self._has_failed = False
        self._has_broken = False  # by an error before its end, and no usage came after that
        self._model: str | None = None
        self._begun: Callable[[], Reading] = Reading  # what the first event said
        self._has_ended = False
        self._delivered = _Text()
        self._repeated = 0  # tokens of the longest text that stood in one event alone

    def see(self, events: bytes, *, is_part: bool = False) -> None:
        """Read whole events, or a part of a very long one."""
        self.has_data = self.has_data or b"data:" in events
        if self._model is None and (match := _MODEL.search(events)):
            self._model = match[1].decode("utf-8", "replace")
            self._begun = cache(partial(_begun_by, events))
            if len(events) > bridge.MAX_ON_LOOP:
                self._begun()  # here, because `reading` is for the event loop
        if match := USAGE.search(events):
            start = last_end(events[: match.start()], 0)
            self._has_broken = False
            self._note_usage(events[start:], _stated_in_part if is_part else _stated_in)
        if is_error_event(events):
            self._note_errors(events)
        self._has_ended = self._has_ended or _is_end(events)
        self._count_text(events)

    def reading(self) -> Reading:
        """Return what the stream has said so far."""
        output_tokens = self.output_tokens
        reading = Reading(
            model=self._model,
            error=self._error,
            has_failed=self._has_failed,
            is_complete=self._has_ended and not self._has_broken,
            estimate_output=lambda: output_tokens,
        )
        if (stated := self._stated) is not None:
            reading.usage, reading.units = stated.usage, stated.units
            reading.service_tier, reading.size = stated.service_tier, stated.size
            reading.model = stated.model or reading.model
        known = stated or self._begun()
        reading.response_id = known.response_id
        reading.is_queued = known.is_queued and not self._has_ended
        return reading

    @property
    def output_tokens(self) -> int:
        """About how many tokens the text has that was seen."""
        return self._delivered.tokens or self._repeated

    def _note_usage(self, events: bytes, stated_in: Callable[[bytes], Reading]) -> None:
        """Keep the last usage: many repeat a running total with every chunk.

        One that counts nothing takes nothing back.
        """
        for event in reversed(split(events)):
            stated = stated_in(event) if USAGE.search(event) else Reading()
            if stated.has_counts:
                self._stated = stated
                return
            if stated.usage and self._stated is None:
                self._stated = stated

    def _note_errors(self, events: bytes) -> None:
        has_ended = self._has_ended
        for event in split(events):
            has_usage = USAGE.search(event) is not None
            has_ended = has_ended or _is_end(event)
            if has_usage:
                self._has_broken = False
            if not is_error_event(event):
                continue
            value = _value_of(event)
            error = _error_in(value)
            if error is None and _ERROR_LINE.search(event):
                error = _code_of(value)
            self._error = error or self._error
            self._has_failed = self._has_failed or _has_failed(value)
            if error and not (has_usage or has_ended):
                self._has_broken = True

    def _count_text(self, events: bytes) -> None:
        if b'"response.' not in events or all(
            type[1].endswith(_DELTA) for type in _TYPE.finditer(events)
        ):
            self._delivered.add(events)
            return
        for event in split(events):
            match = _TYPE.search(event)
            if match is None or match[1].endswith(_DELTA):
                self._delivered.add(event)
            elif match[1].endswith(_REPEATED):
                text = _Text()
                text.add(event)
                self._repeated = max(self._repeated, text.tokens)


class _Text:
    """The text in events, and about how many tokens it has."""

    def __init__(self) -> None:
        self._characters = 0
        self._other_tokens = 0

    @property
    def tokens(self) -> int:
        return (self._characters + 3) // 4 + self._other_tokens

    def add(self, events: bytes) -> None:
        """Count the text once that a choice has under two names, one after the other."""
        last, last_name = b"", b""
        for name, written in _texts_in(events):
            if written == last and name != last_name:
                continue
            last, last_name = written, name
            if written.isascii() and b"\\u" not in written:
                self._characters += len(written)
            else:
                self._other_tokens += tokens_of(_unescaped(written))


def _texts_in(events: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the texts in events, as they are written, each with the name of its member."""
    if len(events) <= bridge.MAX_ON_LOOP:
        yield from (match.groups() for match in _TEXT.finditer(events))
        return
    end = 0
    while match := _TEXT_BEGINS.search(events, end):
        end = match.end()
        while piece := _TEXT_PIECE.match(events, end):
            end = piece.end()
        if events[end : end + 1] in (b'"', b""):
            yield match[1], events[match.end() : end]
            end += 1


def _begun_by(events: bytes) -> Reading:
    """Return what the event says that names the model, such as of an answer in the background."""
    return _stated_in(next(filter(_MODEL.search, split(events)), b""))


def _stated_in(event: bytes) -> Reading:
    reading = read_answer(_value_of(event))
    reading.size = len(event)
    reading.estimate_output = int  # else it keeps all values, which the event loop would free
    return reading


def _stated_in_part(event: bytes) -> Reading:
    """Return what a part of an event with usage says that its price needs.

    How deep a member lies cannot be told from a part. In what answers repeat of a request
    there may be members of the same name; the usage itself stands after them.
    """
    if value := _value_of(event):
        return read_answer(value)
    *_, match = USAGE.finditer(event)
    tier = _TIER.search(event)
    of_tools = _TOOL_USAGE.search(event)
    return Reading(
        usage=_object_at(event, match.end() - 1),
        units=_units_in({"tool_usage": _object_at(event, of_tools.end() - 1)} if of_tools else {}),
        service_tier=tier[1].decode() if tier else None,
    )


def read_answer(answer: Any) -> Reading:
    """Return what a plain answer, or the event with the usage, says of itself."""
    answer = _object_of(answer)
    whole = _whole(answer)
    tier, model, id = whole.get("service_tier"), whole.get("model"), whole.get("id")
    return Reading(
        usage=_usage_in(whole),
        units=_units_in(whole),
        model=model if isinstance(model, str) and model else None,
        service_tier=tier if isinstance(tier, str) else None,
        error=_error_in(answer),
        has_failed=_has_failed(answer),
        is_queued=whole.get("status") in ("queued", "in_progress"),
        response_id=id if isinstance(id, str) and _ID.fullmatch(id) else None,
        is_deleted=answer.get("deleted") is True,
        audio_seconds=_seconds_in(answer),
        estimate_output=partial(_output_estimate, whole),
    )


def read_text(text: bytes) -> Reading:
    """Return what an answer says of itself that is no JSON: events, subtitles or plain text."""
    reader = StreamReader()
    reader.see(text)  # as much of it as there is
    return replace(reader.reading(), audio_seconds=subtitles.length(text))


def _whole(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer that is meant: the events of Responses have it inside."""
    inside = answer.get("response")
    return inside if isinstance(inside, dict) else answer


def _has_failed(answer: dict[str, Any]) -> bool:
    return answer.get("type") == "response.failed" or _whole(answer).get("status") == "failed"


def _usage_in(answer: dict[str, Any]) -> dict[str, Any] | None:
    """Return the usage that an answer states.

    Groq puts it into a member of its own, Moonshot into the last choice.
    """
    for holder in (answer, answer.get("x_groq"), _last_choice(answer)):
        if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
            return holder["usage"]
    return None


def _last_choice(answer: dict[str, Any]) -> Any:
    choices = answer.get("choices")
    return choices[-1] if isinstance(choices, list) and choices else None


def _units_in(answer: dict[str, Any]) -> dict[str, int]:
    """Return what an answer counts beside its usage: what the upstream's own tools have used.

    Tokens of pictures are of another model than the one that answers.
    """
    used = answer.get("tool_usage")
    used = used if isinstance(used, dict) else {}
    searches, pictures = (
        part if isinstance(part := used.get(name), dict) else {}
        for name in ("web_search", "image_gen")
    )
    counts = {
        "web_searches": searches.get("num_requests"),
        "image_tool_input_tokens": pictures.get("input_tokens"),
        "image_tool_output_tokens": pictures.get("output_tokens"),
    }
    return {name: count for name, count in counts.items() if type(count) is int and count > 0}


def _seconds_in(answer: dict[str, Any]) -> float | None:
    """Return the length that a verbose transcription states; some write it as a text."""
    duration = answer.get("duration")
    if isinstance(duration, str) and _SECONDS.fullmatch(duration):
        duration = float(duration)
    is_number = type(duration) in (int, float) and 0 < duration < _MAX_SECONDS
    return round(duration, 3) if is_number else None


def _output_estimate(answer: dict[str, Any]) -> int:
    reader = StreamReader()
    reader.see(lenient_json.dumps({**answer, "usage": None}))
    return reader.output_tokens


def _error_in(answer: dict[str, Any]) -> str | None:
    """Return the code of an error in an answer or an event; None if it has none.

    Not its text, which may quote what was sent. OpenRouter has it in a choice, too, Groq and
    MiniMax in members of their own (the latter's is 0 elsewhere), Mistral says no more than why
    it ended, Zhipu and Cloudflare no more than `success`, others have it bare.
    """
    choice = _last_choice(answer)
    error = _whole(answer).get("error")
    for holder in (choice, answer.get("x_groq")):
        error = error or (holder.get("error") if isinstance(holder, dict) else None)
    if isinstance(choice, dict) and choice.get("finish_reason") == "error":
        error = error or "error"
    if _has_failed(answer):
        error = error or {"code": "response_failed"}
    elif (
        "error" in (answer.get("type"), answer.get("object"))
        or answer.get("success") is False
        or _is_bare_error(answer)
    ):
        error = error or answer
    if not error and isinstance(stated := answer.get("base_resp"), dict):
        error = {"code": code} if (code := stated.get("status_code")) else None
    if not error:
        return None
    return _code_of(error if isinstance(error, dict) else answer)


def _is_bare_error(answer: dict[str, Any]) -> bool:
    """Return whether this is an error itself, and nothing of an answer.

    DashScope and Spark have a code and a message, Baidu an `error_code`, Cloudflare `errors`,
    servers upon FastAPI a `detail`.
    """
    if any(answer.get(name) for name in _RESULTS):
        return False
    has_text = any(isinstance(answer.get(name), str) for name in _MESSAGES)
    has_code = any(_is_code_of_error(answer.get(name)) for name in _CODES)
    return (has_text and has_code) or bool(answer.get("errors") or answer.get("detail"))


def _is_code_of_error(code: Any) -> bool:
    if not (isinstance(code, str) or type(code) is int):
        return False
    return _WENT_WELL.fullmatch(str(code)) is None


def _code_of(error: dict[str, Any]) -> str:
    codes = (error.get(name) for name in (*_CODES, "type"))
    return next((str(code) for code in codes if code), "error")


def _value_of(event: bytes) -> dict[str, Any]:
    """Return the JSON of an event; some send it bare."""
    return _parsed(data_of(event) or event)


def _object_at(data: bytes, start: int) -> dict[str, Any] | None:
    """Return the JSON object that begins there, whatever follows it; None for one cut off."""
    text = data[start : start + _MAX_USAGE].decode("utf-8", "replace")
    try:
        _, end = _JSON.raw_decode(text)
        return orjson.loads(text[:end])
    except (ValueError, RecursionError):
        return None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = lenient_json.loads(data)
    except ValueError:
        return {}
    return _object_of(value)


def _object_of(value: Any) -> dict[str, Any]:
    """Return an object; Google's compatible route writes its errors as a list of one."""
    if isinstance(value, list) and len(value) == 1:
        [value] = value
    return value if isinstance(value, dict) else {}


def _unescaped(text: bytes) -> str:
    try:
        return orjson.loads(b'"' + text + b'"')
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace")
