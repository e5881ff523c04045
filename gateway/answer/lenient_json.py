"""JSON as upstreams really write it: what orjson refuses is read by Python's own reader.

That is half of a character that was cut in two (`\\ud83d`), NaN, another encoding, and bytes
that are of none.
"""

import codecs
import json
from typing import Any

import orjson

_MAX_REREAD = 1024 * 1024  # bytes; Python's reader lets nothing else run meanwhile


def loads(data: bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
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
    """Return any value that was read so as a JSON text."""
    try:
        return orjson.dumps(value, default=str)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=str).encode()
