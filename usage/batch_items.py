"""The items of a batch, from a body in any of several formats.

Source: docs/http-contract.md, section "Logging many calls".
"""

import io
from codecs import BOM_UTF8
from typing import Any

from rest_framework.exceptions import ParseError

from core import exact_json, parsing
from core.errors import InvalidInput, issue
from core.schemas import Schema
from usage import csv_format
from usage.schemas import LogEntry

MAX_ITEMS = 5_000
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
# An entry, or what is wrong with it.
Item = LogEntry | InvalidInput


class _Batch(Schema):
    logs: list[Any]  # each is validated by itself


def parse(body: bytes, content_type: str) -> list[Item]:
    """Return the items of `{"logs": […]}`, a bare list, or lines of NDJSON or CSV.

    Raises InvalidInput when the batch as a whole is malformed or has too many items.
    """
    media_type = content_type.split(";", 1)[0].strip().lower()
    if media_type in _NDJSON:
        items = [line for line in body.removeprefix(BOM_UTF8).split(b"\n") if line.strip()]
    elif media_type == "text/csv":
        items = list(csv_format.read(io.StringIO(exact_json.decode_text(body), newline="")))
    elif parsing.is_json(content_type):
        items = _list_of(exact_json.loads(body))
    else:
        items = _list_of(exact_json.decode_text(body))  # neither of them: refused
    if len(items) > MAX_ITEMS:
        context = {"max_length": MAX_ITEMS, "actual_length": len(items)}
        message = f"List should have at most {MAX_ITEMS} items"
        raise InvalidInput([issue("too_long", ["body", "logs"], message, None, **context)])
    return [_entry(item) for item in items]


def _list_of(value: Any) -> list:
    return value if isinstance(value, list) else parsing.validate(_Batch, value).logs


def _entry(item: Any) -> Item:
    if isinstance(item, InvalidInput):
        return item
    try:
        value = exact_json.loads(item) if isinstance(item, bytes) else item
        return parsing.validate(LogEntry, value)
    except InvalidInput as error:
        return error
    except ParseError as error:
        return InvalidInput([issue("json_invalid", ["body"], str(error.detail), {})])
