"""Reservations that outlive their calls, and what corrections of the ledger give back."""

from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction

from gateway.models import Call, CallState, Token
from usage.ledger import LogRow
from usage.models import UsageLog


@transaction.atomic
def release(call: Call) -> bool:
    """Give back what a call of unknown cost reserved, as if it had cost nothing, and forget it.

    Returns whether it was still there. Only one of several who do it gets True.
    """
    return _end(call.pk) is not None


def follow_correction(original: UsageLog, replacement: LogRow | None) -> None:
    """Change what a token has spent as the ledger does, within the correction's transaction.

    A call whose cost nobody knew holds its reservation no longer, unless nobody knows it still.
    """
    if original.upstream is None:
        return
    if original.cost is None and replacement is not None and replacement.cost is None:
        return
    allowance_id = _end(_call_of(original)) if original.cost is None else None
    if allowance_id is None:
        token = Token.objects.filter(id=original.api_key_id).values_list("allowance_id", flat=True)
        allowance_id = token.first()
    cost = (replacement and replacement.cost) or Decimal(0)
    difference = cost - (original.cost or Decimal(0))
    if allowance_id is not None and difference:
        _settle(allowance_id, Decimal(0), difference)


def _call_of(log: UsageLog) -> UUID:
    """Return the id of the call that an entry stands for. A query for each entry before it."""
    while log.corrects_id is not None:
        log = UsageLog.objects.only("corrects_id").get(id=log.corrects_id)
    return log.id


def _end(call_id: UUID) -> UUID | None:
    """Forget a call of unknown cost, and release what it holds; return its allowance.

    None if it was not there.
    """
    call = Call.objects.select_for_update().filter(pk=call_id, state=CallState.UNKNOWN).first()
    if call is None:
        return None
    call.delete()
    _settle(call.allowance_id, call.reserved_usd, Decimal(0))
    return call.allowance_id


def _settle(allowance_id: UUID, released: Decimal, spent: Decimal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT settle_allowance(%s, %s, %s)", [allowance_id, released, spent])
