"""What keys cost, from the daily sums."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from usage.models import DailyUsage


def costs_of_keys(project_id: UUID, since: datetime) -> dict[str, Decimal]:
    """Return the cost in US dollars of each key's calls from a UTC day on, by the key's id."""
    rows = DailyUsage.objects.filter(project_id=project_id, day__gte=since.date())
    sums = rows.exclude(api_key_id="").values("api_key_id").annotate(total=Sum("cost"))
    return dict(sums.values_list("api_key_id", "total"))
