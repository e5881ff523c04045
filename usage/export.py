"""`GET /logs/export`: all logs of a window, oldest first, as NDJSON or CSV in chunks."""

from collections.abc import Iterable, Iterator

from django.db import connection
from django.db.models import QuerySet

from core import ids, media
from core.scoping import Caller
from usage import csv_format
from usage.models import UsageLog
from usage.schemas import ExportedLog, ExportQuery

_CHUNK_ROWS = 2_000
# The members of an exported log and the field of each.
FIELDS = {name: name for name in ExportedLog.model_fields} | {"logged_at": "created_at"}


def chunks(caller: Caller, query: ExportQuery) -> Iterator[list[dict]]:
    """Yield all matching logs, oldest first.

    Each chunk is a query of its own, and the connection is closed before the
    chunk is yielded: a slow reader must not hold one for as long as it reads.
    """
    window = query.window()
    logs = UsageLog.objects.for_caller(caller).filter(
        id__lt=ids.lowest(window.end), **query.labels()
    )
    chunk = _read_chunk(logs.filter(id__gte=ids.lowest(window.start)))
    while chunk:
        if not connection.in_atomic_block:
            connection.close()
        yield chunk
        chunk = _read_chunk(logs.filter(id__gt=chunk[-1]["id"]))


def _read_chunk(logs: QuerySet) -> list[dict]:
    values = logs.order_by("id").values_list(*FIELDS.values())[:_CHUNK_ROWS]
    rows = [dict(zip(FIELDS, row, strict=True)) for row in values]
    for row in rows:
        row["cost"] = row["cost"] or 0
    return rows


def as_ndjson(chunks: Iterable[list[dict]]) -> Iterator[bytes]:
    """Yield one JSON object a line."""
    for chunk in chunks:
        yield b"".join(media.dumps(row) + b"\n" for row in chunk)


FORMATS = {
    "ndjson": ("application/x-ndjson", as_ndjson),
    "csv": ("text/csv; charset=utf-8", csv_format.write),
}
