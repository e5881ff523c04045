"""`POST /api/v1/log` (docs/http-contract.md, section "Logging a call")."""

from decimal import Decimal

from usage.models import UsageLog

CALL = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 200}


def test_callers_cost_is_stored_and_returned(api):
    reply = api.send("POST", "/api/v1/log", {**CALL, "cost": 0.0025, "alias": "summarizer"})
    assert (reply["cost"], reply["cost_source"]) == (0.0025, "caller")
    row = UsageLog.objects.get()
    assert str(row.id) == reply["log_id"]
    assert (row.cost, row.alias, row.profile) == (Decimal("0.0025"), "summarizer", "default")
    assert (row.project_id, row.api_key_id) == (api.project.id, api.api_key_id)
