"""Reservations of calls whose cost stays unknown."""

from django.db import connection, transaction

from gateway.models import Call, CallState


@transaction.atomic
def release(call: Call) -> bool:
    """Give back what an unknown call reserved, as if it had cost nothing, and forget it.

    Returns whether it was still there. Only one of several who do it gets True.
    """
    deleted, _ = Call.objects.filter(pk=call.pk, state=CallState.UNKNOWN).delete()
    if deleted:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT settle_allowance(%s, %s, 0)", [call.allowance_id, call.reserved_usd]
            )
    return bool(deleted)
