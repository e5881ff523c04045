"""`GET /logs/export`: all logs of a window, oldest first, as NDJSON or CSV in chunks."""

from collections.abc import Iterator

from django.db import connection

from core import schemas
from core.scoping import Caller
from registry_proxy.models import Snapshot
from usage import csv_format, filters
from usage.listing import read_page
from usage.models import UsageLog
from usage.query_schemas import ExportQuery
from usage.reply_schemas import ExportedLog

_CHUNK_ROWS = 2_000
# Members that are fields of the model as they are, and the field of each.
FIELDS = {
    name: field
    for name in ExportedLog.model_fields
    if (field := {"logged_at": "created_at", "user": "end_user"}.get(name, name))
    in {field.attname for field in UsageLog._meta.concrete_fields}
}


def ndjson(caller: Caller, query: ExportQuery) -> Iterator[bytes]:
    """Yield the logs as JSON objects, one a line, some lines at a time.

    Each chunk is a query of its own, and the connection is closed before the
    chunk is yielded: a slow reader must not hold one for as long as it reads.
    """
    condition, parameters = filters.in_window_for_pages(caller, query)
    sql = {"snapshot": _snapshot_sql()}
    next_id = None
    while True:
        after = f" AND {filters.page_part('>', 'after')}" if next_id else ""
        page = read_page(
            ExportedLog.model_fields,
            condition + after,
            parameters | {"after": next_id},
            "ASC",
            limit=_CHUNK_ROWS,
            separator="\n",
            sql=sql,
        )
        if not connection.in_atomic_block:
            connection.close()
        for text in page.texts:
            yield text.encode() + b"\n"
        if (next_id := page.next_id) is None:
            return


def _snapshot_sql() -> str:
    """Return the SQL of the digest of a row's snapshot. There are few snapshots."""
    digests = Snapshot.objects.values_list("id", "digest")
    cases = " ".join(f"WHEN {id:d} THEN 'sha256:{digest}'" for id, digest in digests)
    return f"CASE snapshot_id {cases} END" if cases else "NULL::text"


def as_csv(caller: Caller, query: ExportQuery) -> Iterator[bytes]:
    """Yield a header line, then a line for each log, some lines at a time."""
    yield csv_format.header()
    for chunk in ndjson(caller, query):
        yield csv_format.lines(schemas.loads(line) for line in chunk.splitlines())


FORMATS = {
    "ndjson": ("application/x-ndjson", ndjson),
    "csv": ("text/csv; charset=utf-8", as_csv),
}
