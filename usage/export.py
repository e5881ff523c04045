"""All logs that meet a condition, oldest first, as NDJSON or CSV in chunks.

For `GET /logs/export`, and for what a list of the admin shows.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from core import exact_json
from registry_proxy.models import Snapshot
from usage import csv_format, filters
from usage.listing import OLDEST, OLDEST_OF_PROJECT, LogPage, read_page
from usage.reply_schemas import ExportedLog

_CHUNK_ROWS = 2_000


def ndjson(
    condition: str,
    parameters: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
    *,
    portions: Sequence[Mapping[str, Any]] = ({},),
    is_of_project: bool = False,
) -> Iterator[bytes]:
    """Yield the logs as JSON objects, one a line, some lines at a time.

    `extra` is the SQL of further members, by name. `portions` are other values of some
    parameters, such as ranges of ids: each is read after the one before. With
    `is_of_project` the condition admits rows of one project alone.
    Each chunk is a query of its own, and the connection is closed before the
    chunk is yielded: a slow reader must not hold one for as long as it reads.
    """
    members = [*ExportedLog.model_fields, *(extra or ())]
    sql = {"snapshot": _snapshot_sql(), **(extra or {})}
    for portion in portions:
        pages = _pages(
            members, f"({condition})", {**parameters, **portion}, sql, is_of_project=is_of_project
        )
        for page in pages:
            if not connection.in_atomic_block:
                connection.close()
            for text in page.texts:
                yield text.encode() + b"\n"


def logs_of_project(project_id: UUID, ids: Collection[UUID]) -> list[dict[str, Any]]:
    """Return these logs of a project with the members of the export, oldest first."""
    pages = _pages(
        [*ExportedLog.model_fields],
        "project_id = %(project_id)s AND id = ANY(%(ids)s)",
        {"project_id": project_id, "ids": list(ids)},
        {"snapshot": _snapshot_sql()},
        is_of_project=True,
    )
    return [
        exact_json.loads(line.encode())
        for page in pages
        for text in page.texts
        for line in text.splitlines()
    ]


def _pages(
    members: list[str],
    condition: str,
    parameters: Mapping[str, Any],
    sql: Mapping[str, str],
    *,
    is_of_project: bool,
) -> Iterator[LogPage]:
    next_id, after = None, ""
    while True:
        page = read_page(
            members,
            condition + after,
            {**parameters, "after": next_id},
            OLDEST_OF_PROJECT if is_of_project else OLDEST,
            limit=_CHUNK_ROWS,
            separator="\n",
            sql=sql,
        )
        yield page
        if (next_id := page.next_id) is None:
            return
        part = filters.page_part(">", "after") if is_of_project else "id > %(after)s"
        after = f" AND {part}"


def _snapshot_sql() -> str:
    """Return the SQL of the digest of a row's snapshot. There are few snapshots."""
    digests = Snapshot.objects.values_list("id", "digest")
    cases = " ".join(f"WHEN {id:d} THEN 'sha256:{digest}'" for id, digest in digests)
    return f"CASE snapshot_id {cases} END" if cases else "NULL::text"


def as_csv(
    condition: str,
    parameters: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
    *,
    portions: Sequence[Mapping[str, Any]] = ({},),
    is_of_project: bool = False,
) -> Iterator[bytes]:
    """Yield a header line, then a line for each log, some lines at a time."""
    yield csv_format.header(extra or ())
    chunks = ndjson(condition, parameters, extra, portions=portions, is_of_project=is_of_project)
    for chunk in chunks:
        yield csv_format.lines(exact_json.loads(line) for line in chunk.splitlines())


FORMATS = {
    "ndjson": ("application/x-ndjson", ndjson),
    "csv": ("text/csv; charset=utf-8", as_csv),
}
