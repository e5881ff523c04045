"""One call as a client reports it.

Most logs are decoded here, by msgspec, in a few microseconds. Whatever it does
not take at once goes to the serializer of the same members
(usage/serializers.py), which is more lenient and says what is wrong.
Source: docs/http-contract.md, section "Logging a call".
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from core import media
from core.fields import NumberField
from registry_proxy.tokens import Tokens

# The largest integer that every JSON reader, and so every receipt, keeps exactly.
MOST = 2**53 - 1

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Text50 = Annotated[str, msgspec.Meta(max_length=50)]
Text64 = Annotated[str, msgspec.Meta(max_length=64)]
Text128 = Annotated[str, msgspec.Meta(max_length=128)]
Text255 = Annotated[str, msgspec.Meta(max_length=255)]

# Members of `metadata` that count tokens of finer classes, and the class each counts.
TOKEN_CLASSES = {
    "cache_write_tokens": "cache_write",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "thinking_tokens": "thinking",
    "reasoning_tokens": "thinking",
}
# Deeper nesting than this many brackets can make is measured by the serializer.
_FEW_BRACKETS = 60


class LogEntry(msgspec.Struct, kw_only=True):
    """What `POST /api/v1/log` takes. Unknown members are ignored."""

    provider: Text50
    model: Text255
    input_tokens: Count
    output_tokens: Count
    cached_input_tokens: Count | None = 0
    alias: Text128 | None = None
    profile: Text64 | None = None
    cost: float | None = None  # Decimal once decoded
    latency_ms: Count | None = None
    origin: Text255 | None = None
    id_at_origin: Text255 | None = None
    metadata: dict = {}


class BatchEntry(LogEntry, kw_only=True):
    """An item of a batch: may say when the call happened, and which event it was."""

    event_id: Text255 | None = None
    timestamp: datetime | None = None


_decoders = {kind: msgspec.json.Decoder(kind) for kind in (LogEntry, BatchEntry)}


def decode(kind: type[LogEntry], text: bytes) -> LogEntry | None:
    """The entry in a JSON text, or None when the serializer has to look at it."""
    if not media.is_plain(text) or text.count(b"{") + text.count(b"[") > _FEW_BRACKETS:
        return None
    try:
        entry = _decoders[kind].decode(text)
    except msgspec.MsgspecError:
        return None
    if entry.cost is not None:
        # Through its shortest text: 0.1 is the tenth that the caller wrote.
        entry.cost = Decimal(repr(entry.cost))
    return entry if _is_sound(entry) else None


def _is_sound(entry: LogEntry) -> bool:
    cost = entry.cost
    return (
        (entry.cached_input_tokens or 0) <= entry.input_tokens
        and (cost is None or (cost.is_finite() and 0 <= cost <= NumberField.LARGEST))
        and (not entry.metadata or not any(unsound_classes(entry.metadata)))
    )


def unsound_classes(metadata: dict):
    """Yields the names of token classes in `metadata` whose value is no count."""
    for name in TOKEN_CLASSES.keys() & metadata.keys():
        value = metadata[name]
        if value is not None and (type(value) is not int or not 0 <= value <= MOST):
            yield name


def tokens_of(entry: LogEntry) -> Tokens:
    """The entry's tokens by the classes that are billed apart."""
    finer: dict[str, int] = {}
    for name in TOKEN_CLASSES.keys() & entry.metadata.keys():
        token_class = TOKEN_CLASSES[name]
        finer[token_class] = finer.get(token_class, 0) + (entry.metadata[name] or 0)
    return Tokens.from_totals(
        entry.input_tokens, entry.output_tokens, entry.cached_input_tokens or 0, **finer
    )
