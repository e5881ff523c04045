"""`manage.py importlogs` of what a project with calls through the gateway exports."""

import io
from decimal import Decimal

from django.core.management import call_command

from tests.client import ApiClient
from usage.models import DailyUsage, UsageLog


def import_logs(path) -> str:
    out = io.StringIO()
    call_command("importlogs", str(path), stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_exported_calls_go_back_to_the_project_of_their_token(
    gateway, mock, api: ApiClient, tmp_path
):
    """Their `api_key_id` is the token's id (docs/gateway.md, "Metering")."""
    assert gateway.chat().status_code == 200
    logged = gateway.row
    file = tmp_path / "logs.ndjson"
    file.write_bytes(api.get("/api/v1/logs/export").getvalue())

    assert import_logs(file) == "0 logs imported, 1 known already, 0 skipped"
    UsageLog.objects.all().delete()
    DailyUsage.objects.all().delete()
    assert import_logs(file) == "1 logs imported, 0 known already, 0 skipped"

    copy = gateway.row
    assert (copy.id, copy.api_key_id) == (logged.id, gateway.token_row.id)
    assert (copy.upstream, copy.cost) == ("openai", logged.cost)
    assert copy.cost > Decimal(0)
