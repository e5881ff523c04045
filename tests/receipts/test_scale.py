"""A hundred thousand logs in one receipt: exact sums, without holding the logs in memory."""

import tracemalloc
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection

from receipts.models import Receipt, ReceiptLog
from registry_proxy import pricing
from usage.columns import SUMS
from usage.models import DailyUsage

LOGS = 100_000
# Ids of one millisecond each, as uuid7 makes them.
INSERT = """
INSERT INTO usage_logs (id, project_id, api_key_id, created_at, provider, model, alias, profile,
    input_tokens, output_tokens, cached_input_tokens, cost, cost_source, metadata)
SELECT (lpad(to_hex(1760000000000 + n), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))
        ::uuid,
    %s, %s, to_timestamp(1760000000 + n / 1000.0), 'openai', 'm' || n %% 50, 'a' || n %% 7,
    'default', n %% 1000, 5, 0, (n %% 997) * 0.000001, 'caller', '{}'
FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def many(api, signing):
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [api.project.id, api.api_key_id, LOGS])
    DailyUsage.objects.create(
        project_id=api.project.id,
        day=date(2025, 10, 9),
        labels=b"any",
        entries=LOGS,
        **dict.fromkeys(SUMS, 0),
    )


@pytest.mark.slow
def test_many_logs_are_certified_in_the_database(api, many, django_assert_max_num_queries):
    pricing.load()  # the first of a process asks for the registry
    tracemalloc.start()
    with django_assert_max_num_queries(16):
        reply = api.send("POST", "/api/v1/receipts/generate", {"since_last_receipt": True})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    summary = reply["receipt"]["batch_summary"]
    assert reply["certified_count"] == summary["total_calls"] == LOGS
    expected = sum(n % 997 for n in range(1, LOGS + 1)) * Decimal("0.000001")
    assert Decimal(summary["total_cost_exact"]) == expected
    assert Decimal(str(reply["receipt"]["total_cost"])) == expected
    assert summary["total_tokens"] == sum(n % 1000 + 5 for n in range(1, LOGS + 1))
    assert (summary["log_ids"], summary["logs"]["listed"]) == ([], False)
    assert len(summary["by_model"]) == 50
    assert ReceiptLog.objects.count() == LOGS
    assert len(Receipt.objects.get().document) < 10_000
    assert peak < 5_000_000, peak  # bytes; the logs' ids alone would be more


@pytest.mark.slow
def test_the_last_page_is_as_good_as_the_first(api, many, django_assert_max_num_queries):
    api.send("POST", "/api/v1/receipts/generate", {"since_last_receipt": True})
    receipt = api.read("/api/v1/receipts")["receipts"][0]
    with django_assert_max_num_queries(11):
        page = api.read(
            f"/api/v1/receipts/{receipt['receipt_id']}/logs", {"offset": LOGS - 5, "limit": 1000}
        )
    assert (len(page["logs"]), page["total"]) == (5, LOGS)
    assert page["logs"][-1]["id"] == receipt["batch_summary"]["logs"]["last_id"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [10, 1000])
def test_uncertified_pages_take_the_same_queries(api, many, django_assert_max_num_queries, limit):
    with django_assert_max_num_queries(8):
        page = api.read("/api/v1/receipts/uncertified", {"limit": limit})
    assert (len(page["logs"]), page["total"]) == (limit, 10_001)  # at least: not all are counted
