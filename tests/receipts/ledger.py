"""Calls in the ledger, for tests of batch receipts."""

from decimal import Decimal

from core.ids import uuid7
from usage.models import UsageLog


def log(api, **members) -> str:
    """Return the id of a call logged over HTTP, with a stated cost."""
    entry = {
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 10,
        "output_tokens": 5,
        "cost": "0.001",
        **members,
    }
    return api.send("POST", "/api/v1/log", entry)["log_id"]


def row(api, at, **columns) -> UsageLog:
    """Return a call of this time, written without the API."""
    values = {
        "provider": "openai",
        "model": "gpt-4o",
        "profile": "default",
        "input_tokens": 10,
        "output_tokens": 5,
        "cached_input_tokens": 0,
        "cost": Decimal("0.001"),
        "cost_source": "caller",
        **columns,
    }
    return UsageLog.objects.create(
        id=uuid7(at),
        created_at=at,
        project_id=api.project.id,
        api_key_id=api.api_key_id,
        **values,
    )
