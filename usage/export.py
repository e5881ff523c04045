"""The formats of `GET /logs/export`, chunk by chunk."""

import csv
import io
from collections.abc import Iterable, Iterator

from core import media
from usage.listing import EXPORTED


def ndjson(chunks: Iterable[list[dict]]) -> Iterator[bytes]:
    """One JSON object a line."""
    for chunk in chunks:
        yield b"".join(media.dumps(row) + b"\n" for row in chunk)


def as_csv(chunks: Iterable[list[dict]]) -> Iterator[bytes]:
    """A header line, then a line for each log; metadata as JSON, absent values empty."""
    yield (",".join(EXPORTED) + "\r\n").encode()
    for chunk in chunks:
        text = io.StringIO()
        writer = csv.writer(text)
        for row in chunk:
            writer.writerow(_cell(value) for value in row.values())
        yield text.getvalue().encode()


def _cell(value: object) -> object:
    if value is None or isinstance(value, str | int):
        return value
    return (
        media.dumps(value).decode().strip('"')
        if not isinstance(value, dict)
        else media.dumps(value).decode()
    )


FORMATS = {"ndjson": ("application/x-ndjson", ndjson), "csv": ("text/csv; charset=utf-8", as_csv)}
