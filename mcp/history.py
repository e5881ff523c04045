"""The executions of a tool in pages, which results of megabytes must not make gigabytes."""

from uuid import UUID

from mcp.models import Tool, ToolExecution

_MOST_ROWS = 1_000
_MOST_BYTES = 2**24  # after which a page ends


def page(
    tool: Tool, *, limit: int, cursor: UUID | None = None
) -> tuple[list[ToolExecution], UUID | None]:
    """Executions older than the one at the cursor, and the next cursor if there are more."""
    rows = ToolExecution.objects.filter(tool=tool)
    if cursor is not None:
        rows = rows.filter(id__lt=cursor)
    limit = min(limit, _MOST_ROWS)
    wanted, size = [], 0
    # The sizes first: reading a row's results is what may take too much.
    for id, row_size in rows.values_list("id", "size")[: limit + 1]:
        if wanted and (len(wanted) == limit or size + row_size > _MOST_BYTES):
            return _rows(wanted), wanted[-1]
        if len(wanted) < limit:
            wanted.append(id)
            size += row_size
    return _rows(wanted), None


def _rows(ids: list[UUID]) -> list[ToolExecution]:
    return list(ToolExecution.objects.filter(id__in=ids)) if ids else []
