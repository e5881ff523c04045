"""The header with the cursor of a list's next page."""

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter

NEXT_CURSOR = OpenApiParameter(
    "X-Next-Cursor",
    UUID,
    OpenApiParameter.HEADER,
    response=[200],
    description="The `cursor` of the next page, while there may be one.",
)


def next_cursor(last_id: UUID | None) -> dict[str, str]:
    """Return the header of a page that ends with this row; empty for None, the last page."""
    return {NEXT_CURSOR.name: str(last_id)} if last_id else {}
