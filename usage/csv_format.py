"""Logs as CSV, both ways: what is written is read back as the same logs.

A spreadsheet runs cells that begin with `=`, `+`, `-` or `@`. Texts that do so, or
begin with a tab or `'`, get a `'` in front; so does an empty text, which is not the
same as an absent one. Numbers never do.
Source: docs/http-contract/usage.md, section "Round trips".
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from core import exact_json, json_writer
from core.errors import InvalidInput, issue
from core.schemas import decimal
from usage.reply_schemas import ExportedLog

csv.field_size_limit(10_000_000)  # characters of a cell: metadata may be long
_OBJECTS = ("metadata", "modifiers", "units", "usage")
_MARKED = ("=", "+", "-", "@", "\t", "'")


def header(extra: Iterable[str] = ()) -> bytes:
    """Return the line that names the columns, those of further members last."""
    return (",".join([*ExportedLog.model_fields, *extra]) + "\r\n").encode()


def lines(logs: Iterable[dict[str, Any]]) -> bytes:
    """Return a line for each log; objects as JSON, absent values empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    for log in logs:
        writer.writerow(map(_cell, log.values()))
    return text.getvalue().encode()


def _cell(value: object) -> object:
    match value:
        case str():
            return f"'{value}" if value == "" or value.startswith(_MARKED) else value
        case dict():
            return json_writer.dumps(value).decode()
        case float() | Decimal():
            return json_writer.plain(decimal(value))
    return value


def read(lines: Iterable[str]) -> Iterator[dict[str, Any] | InvalidInput]:
    """Yield the logs of CSV text with a header line, absent values left out.

    Cells may be separated by semicolons. A malformed line is yielded as its error, and so
    is one of more cells than the header has: a decimal comma would be cut off its number.
    """
    lines = iter(lines)
    header = next(lines, "").lstrip("\ufeff")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = next(csv.reader([header], delimiter=delimiter), [])
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            if cells := next(reader):
                yield _row(names, cells)
        except StopIteration:
            return
        except csv.Error as error:
            yield InvalidInput([issue("csv_invalid", ["body"], str(error), None)])


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | InvalidInput:
    if any(cells[len(names) :]):
        message = f"The line has {len(cells)} cells, and the header {len(names)}"
        return InvalidInput([issue("csv_invalid", ["body"], message, None)])
    row: dict[str, Any] = {
        name: cell.removeprefix("'")
        for name, cell in zip(names, cells, strict=False)
        if cell != "" and name
    }
    try:
        for name in row.keys() & _OBJECTS:
            row[name] = exact_json.loads(row[name].encode(), loc=("body", name))
    except InvalidInput as error:
        return error
    return row
