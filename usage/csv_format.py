"""Logs as CSV, both ways: what is written is read back as the same logs.

A spreadsheet runs cells that begin with `=`, `+`, `-` or `@`. Texts that do so, or
begin with a tab or `'`, get a `'` in front; so does an empty text, which is not the
same as an absent one. Numbers never do.
Source: docs/http-contract.md, section "Exporting logs".
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from core import media, schemas
from core.errors import InvalidInput, issue
from usage.schemas import ExportedLog

csv.field_size_limit(10_000_000)  # characters of a cell: metadata may be long
_MARKED = ("=", "+", "-", "@", "\t", "'")
_TEXTS = {
    name
    for name, field in ExportedLog.model_fields.items()
    if field.annotation in (str, str | None)
}


def write(chunks: Iterable[list[dict]]) -> Iterator[bytes]:
    """Yield a header line, then a line for each log; metadata as JSON, absent values empty."""
    yield (",".join(ExportedLog.model_fields) + "\r\n").encode()
    for chunk in chunks:
        text = io.StringIO()
        writer = csv.writer(text)
        for row in chunk:
            writer.writerow(_cell(value) for value in row.values())
        yield text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value == "" or value.startswith(_MARKED) else value
    if value is None or isinstance(value, int):
        return value
    text = media.dumps(value).decode()
    return text if isinstance(value, dict) else text.strip('"')


def read(lines: Iterable[str]) -> Iterator[dict[str, Any] | InvalidInput]:
    """Yield the logs of CSV text with a header line, absent values left out.

    Cells may be separated by semicolons. A malformed line is yielded as its error.
    """
    lines = iter(lines)
    header = next(lines, "").lstrip("\ufeff")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = next(csv.reader([header], delimiter=delimiter), [])
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            if cells := next(reader):
                yield _row(dict(zip(names, cells, strict=False)))
        except StopIteration:
            return
        except csv.Error as error:
            yield InvalidInput([issue("csv_invalid", ["body"], str(error), None)])


def _row(cells: dict[str, str]) -> dict[str, Any] | InvalidInput:
    row: dict[str, Any] = {}
    for name, cell in cells.items():
        if cell == "" or not name:
            continue
        if name in _TEXTS and cell.startswith("'"):
            cell = cell[1:]
        row[name] = cell
    try:
        if "metadata" in row:
            row["metadata"] = schemas.loads(row["metadata"].encode(), loc=("body", "metadata"))
    except InvalidInput as error:
        return error
    return row
