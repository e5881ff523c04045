"""What OpenAI's answers say of themselves: usage, model, errors, and whether they are whole.

The numbers themselves are read by usage/reports/, as those of any report.
"""

import re
from typing import Any

import orjson

from gateway.estimates import tokens_of
from gateway.event_stream import data_of, split
from gateway.protocols.protocol import Reading

# Where text stands that a model wrote. Within a JSON text a quote is escaped, so none of
# these is found inside of another one.
_TEXT = re.compile(
    rb'(?<!\\)"(?:content|text|delta|arguments|reasoning|reasoning_content|refusal)"\s*:\s*'
    rb'"((?:[^"\\]|\\.)*)(?:"|\Z)'  # an answer may be cut off
)
_USAGE = re.compile(rb'(?<!\\)"usage"\s*:\s*\{')
_MODEL = re.compile(rb'(?<!\\)"model"\s*:\s*"([^"\\]+)"')
_ERROR = re.compile(rb'(?<!\\)"error"\s*:\s*[{"]|"type"\s*:\s*"(?:error|response\.failed)"')
_END = re.compile(
    rb'\[DONE\]|(?<!\\)"finish_reason"\s*:\s*"|"type"\s*:\s*"(?:response\.(?:completed|incomplete'
    rb"|failed)|image_generation\.completed|image_edit\.completed|transcript\.text\.done"
    rb'|speech\.audio\.done)"'
)
_FINAL_RESPONSES = ("response.completed", "response.incomplete", "response.failed")


def is_usage_chunk(event: bytes) -> bool:
    """Return whether an event says the usage of a chat and nothing else."""
    if not _USAGE.search(event):
        return False
    chunk = _parsed(data_of(event))
    return (
        chunk.get("choices") == []
        and isinstance(chunk.get("usage"), dict)
        and not chunk.get("error")
    )


class StreamReader:
    """Reads a stream of events; parses only those that state usage or an error."""

    def __init__(self) -> None:
        self.has_data = False
        self._usage_event: bytes | None = None
        self._error: str | None = None
        self._model: str | None = None
        self._has_ended = False
        self._characters = 0
        self._other_tokens = 0

    def see(self, events: bytes) -> None:
        """Take note of whole events."""
        self.has_data = self.has_data or b"data:" in events
        if self._model is None and (found := _MODEL.search(events)):
            self._model = found[1].decode("utf-8", "replace")
        if _USAGE.search(events):
            # The last one counts: many repeat a running total with every chunk.
            self._usage_event = next(e for e in reversed(split(events)) if _USAGE.search(e))
        if _ERROR.search(events):
            self._note_errors(events)
        if not self._has_ended and _END.search(events):
            self._has_ended = True
        self._count_text(events)

    def reading(self) -> Reading:
        """Return what the stream has said so far."""
        reading = Reading(
            model=self._model,
            error=self._error,
            is_complete=self._has_ended,
            output_tokens=(self._characters + 3) // 4 + self._other_tokens,
        )
        if self._usage_event is not None:
            stated = read_answer(_parsed(data_of(self._usage_event)))
            reading.usage, reading.service_tier = stated.usage, stated.service_tier
            reading.model = stated.model or reading.model
            reading.response_id = stated.response_id
        return reading

    def _note_errors(self, events: bytes) -> None:
        for event in split(events):
            if _ERROR.search(event) and (error := _error_in(_parsed(data_of(event)))):
                self._error = error

    def _count_text(self, events: bytes) -> None:
        for found in _TEXT.finditer(events):
            written = found[1]
            if written.isascii() and b"\\u" not in written:
                self._characters += len(written)
            else:
                self._other_tokens += tokens_of(_unescaped(written))


def read_answer(answer: Any) -> Reading:
    """Return what a plain answer, or the event with the usage, says of itself."""
    if not isinstance(answer, dict):
        return Reading()
    # The events of Responses have the answer inside.
    whole = answer.get("response") if isinstance(answer.get("response"), dict) else answer
    usage, tier = whole.get("usage"), whole.get("service_tier")
    model, id = whole.get("model"), whole.get("id")
    return Reading(
        usage=usage if isinstance(usage, dict) else None,
        model=model if isinstance(model, str) and model else None,
        service_tier=tier if isinstance(tier, str) else None,
        error=_error_in(answer),
        is_queued=whole.get("status") in ("queued", "in_progress"),
        response_id=id if isinstance(id, str) else None,
        output_tokens=_output_estimate(whole),
    )


def _output_estimate(answer: dict[str, Any]) -> int:
    if isinstance(answer.get("usage"), dict):
        return 0
    reader = StreamReader()
    reader.see(orjson.dumps(answer, default=str))
    return reader.reading().output_tokens


def _error_in(answer: dict[str, Any]) -> str | None:
    """Return the code or text of an error in an answer or an event; None if it has none."""
    whole = answer.get("response") if isinstance(answer.get("response"), dict) else answer
    error = whole.get("error")
    if answer.get("type") == "response.failed" or whole.get("status") == "failed":
        error = error or {"code": "response_failed"}
    elif answer.get("type") == "error":
        error = error or answer
    if isinstance(error, dict):
        named = error.get("code") or error.get("type") or error.get("message") or "error"
        return str(named)[:255]
    return error[:255] if isinstance(error, str) and error else None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _unescaped(text: bytes) -> str:
    try:
        return orjson.loads(b'"' + text + b'"')
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace")
