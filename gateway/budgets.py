"""Notices of tokens whose budgets are used up, or nearly."""

from collections.abc import Iterator

from django.db.models import F, Q, Sum

from accounts.limits.notices import Notice, of_use
from gateway.models import Call, CallState, Token


def notices() -> Iterator[Notice]:
    """Yield notices about tokens' budgets, for the owners of their projects.

    The reservations of calls of unknown cost count as spent until somebody releases them.
    """
    unknown = Call.objects.filter(state=CallState.UNKNOWN).order_by()
    held = dict(unknown.values_list("allowance_id").annotate(Sum("reserved_usd")))
    is_spent = Q(allowance__spent_usd__gte=F("allowance__budget_usd") * 0.8)
    tokens = Token.objects.active().filter(
        is_spent | Q(allowance__in=held), allowance__budget_usd__isnull=False
    )
    for token in tokens.select_related("allowance"):
        notice = of_use(
            token.project_id,
            f"budget/{token.id}",
            f"US dollars of the token {token}",
            used=token.allowance.spent_usd + held.get(token.allowance_id, 0),
            limit=token.allowance.budget_usd,
        )
        if notice:
            yield notice
