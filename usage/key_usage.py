from uuid import UUID

from django.db.models import Max, Sum

from core.number_formats import count, exact
from usage.models import DailyUsage


def usage_of_keys(ids: list[UUID]) -> dict[UUID, tuple[str, str]]:
    """Return of each key that has logs its last day, and its spend in words. One query."""
    rows = DailyUsage.objects.filter(api_key_id__in=[str(id) for id in ids]).order_by()
    sums = rows.values("api_key_id").annotate(
        day=Max("day"), spend=Sum("cost"), unpriced=Sum("unpriced_requests")
    )
    return {UUID(row["api_key_id"]): (row["day"].isoformat(), _spend(row)) for row in sums}


def _spend(row: dict) -> str:
    known = exact(row["spend"])
    return f"{known}, and {count(row['unpriced'])} unpriced calls" if row["unpriced"] else known
