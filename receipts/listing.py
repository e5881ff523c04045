"""Logs of receipts as the API shows them: those still to certify, and those certified."""

from decimal import Decimal

from django.apps import apps
from django.db import connection
from orjson import Fragment

from core.media import number
from core.scoping import Caller
from receipts import selection
from receipts.models import Receipt
from usage.export import FIELDS
from usage.models import UsageLog

_COLUMNS = (
    "id",
    "type",
    "created_at",
    "provider",
    "model",
    "alias",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cost",
)


def uncertified(caller: Caller, *, limit: int, offset: int) -> dict:
    """A page of the logs that no receipt has certified: conversations, then calls, newest first.

    Both counts read an index each; the page itself reads no more than it shows.
    """
    parameters = {"project": caller.project_id}
    parts = [selection.conversations(selection.FRESH), selection.calls(selection.FRESH)]
    total, logs = 0, []
    with connection.cursor() as cursor:
        for part in parts:
            cursor.execute(f"SELECT count(*) FROM ({part}) AS found", parameters)
            count = cursor.fetchone()[0]
            if len(logs) < limit and offset < total + count:
                cursor.execute(
                    f"SELECT * FROM ({part}) AS found ORDER BY id DESC LIMIT %(limit)s "
                    "OFFSET %(offset)s",
                    {
                        **parameters,
                        "limit": limit - len(logs),
                        "offset": max(0, offset - total),
                    },
                )
                logs += [_shown(row) for row in cursor.fetchall()]
            total += count
    return {"logs": logs, "total": total, "limit": limit, "offset": offset}


def _shown(row: tuple) -> dict:
    log = dict(zip(_COLUMNS, row, strict=False))
    log["timestamp"] = log.pop("created_at").isoformat()
    log["cost"] = _cost(log["cost"])
    return log


def certified(receipt: Receipt, *, limit: int, offset: int) -> dict:
    """A page of the logs that a receipt certifies, in the order of their ids.

    A log that was deleted since is shown by its id and type alone.
    """
    links = receipt.logs.filter(project_id=receipt.project_id, counted=True).order_by("log_id")
    page = list(links.values_list("log_id", "log_type")[offset : offset + limit])
    found = _calls(receipt, [id for id, kind in page if kind == "usage"]) | _conversations(
        receipt, [id for id, kind in page if kind == "conversation"]
    )
    logs = [{"id": id, "type": kind, **found.get(id, {})} for id, kind in page]
    return {
        "receipt_id": receipt.receipt_id,
        "logs": logs,
        "total": links.count(),
        "limit": limit,
        "offset": offset,
    }


def _calls(receipt: Receipt, ids: list) -> dict:
    rows = UsageLog.objects.filter(project_id=receipt.project_id, id__in=ids).values_list(
        *FIELDS.values()
    )
    shown = [dict(zip(FIELDS, row, strict=True)) for row in rows]
    return {log["id"]: {**log, "cost": _cost(log["cost"])} for log in shown}


def _conversations(receipt: Receipt, ids: list) -> dict:
    if not ids or not apps.is_installed("conversations"):
        return {}
    found = apps.get_model("conversations", "Conversation").objects
    rows = found.filter(project_id=receipt.project_id, id__in=ids)
    return {
        row["id"]: {
            "title": row["title"],
            "alias": row["model_alias"] or "default",
            "input_tokens": row["total_input_tokens"],
            "output_tokens": row["total_output_tokens"],
            "cost": _cost(row["total_cost"]),
            "logged_at": row["created_at"],
        }
        for row in rows.values()
    }


def _cost(cost: Decimal | None) -> Fragment:
    return number(cost or Decimal(0))
