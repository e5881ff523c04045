"""JSON as upstreams write it: what orjson refuses is parsed by Python's own parser.

That includes lone surrogates (`\\ud83d`), NaN, other encodings and invalid bytes.
"""

import codecs
import json
from typing import Any

import orjson

from core import memory

_MAX_REREAD = 1024 * 1024  # bytes; Python's parser lets nothing else run meanwhile


def loads(data: bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        with memory.gc_paused_for(data):
            return orjson.loads(data)
    except orjson.JSONDecodeError:
        if len(data) > _MAX_REREAD:
            raise
    try:
        return json.loads(data.decode(json.detect_encoding(data), "replace"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def is_json(data: bytes) -> bool:
    """Return whether this is a JSON text."""
    try:
        loads(data)
    except ValueError:
        return False
    return True


def dumps(value: Any) -> bytes:
    """Return a value that `loads` returned as a JSON text."""
    try:
        return orjson.dumps(value, default=str)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=str).encode()
