"""What keys used, from the daily sums."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Max, Sum

from accounts.models import ApiKey
from core.number_formats import count, exact
from usage.models import DailyUsage


def costs_of_keys(project_id: UUID, since: datetime) -> dict[str, Decimal]:
    """Return the cost in US dollars of each key's calls from a UTC day on, by the key's id."""
    rows = DailyUsage.objects.filter(project_id=project_id, day__gte=since.date())
    sums = rows.exclude(api_key_id="").values("api_key_id").annotate(total=Sum("cost"))
    return dict(sums.values_list("api_key_id", "total"))


def usage_of_keys(keys: Sequence[ApiKey]) -> dict[UUID, tuple[str, str]]:
    """Return of each key that has logs its last day, and its spend in words. One query."""
    rows = DailyUsage.objects.filter(
        # Their index begins with the project.
        project_id__in={key.project_id for key in keys},
        api_key_id__in=[str(key.id) for key in keys],
    )
    sums = rows.values("api_key_id").annotate(
        day=Max("day"), spend=Sum("cost"), unpriced=Sum("unpriced_requests")
    )
    return {UUID(row["api_key_id"]): (row["day"].isoformat(), _spend(row)) for row in sums}


def _spend(row: dict) -> str:
    known = exact(row["spend"])
    return f"{known}, and {count(row['unpriced'])} unpriced calls" if row["unpriced"] else known
