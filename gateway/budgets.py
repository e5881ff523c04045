"""Budgets of tokens that are used up, or nearly."""

from collections.abc import Iterator

from django.db.models import F

from accounts.limit_notices import Notice, of_use
from gateway.models import Token


def notices() -> Iterator[Notice]:
    """Yield what the owners of projects are to be told about their tokens' budgets."""
    tokens = Token.objects.active().filter(
        allowance__spent_usd__gte=F("allowance__budget_usd") * 0.8
    )
    for token in tokens.select_related("allowance"):
        notice = of_use(
            token.project_id,
            f"budget/{token.id}",
            f"US dollars of the token {token}",
            used=token.allowance.spent_usd,
            limit=token.allowance.budget_usd,
        )
        if notice:
            yield notice
