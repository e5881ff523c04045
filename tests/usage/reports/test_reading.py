"""The table of cases on the pure functions: what a report says, before it has a price."""

from decimal import Decimal

import pytest

from registry_proxy.tokens import Tokens
from tests.usage import ledger_cases
from tests.usage.reports.reports import report
from usage.reports.members import ReportError
from usage.reports.reading import read_usage


@pytest.mark.parametrize("case", ledger_cases.read(), ids=ledger_cases.name)
def test_a_report_is_read_as_the_table_says(case):
    usage = read_usage(report(**case["report"]))
    tokens = case["tokens"]
    assert usage.tokens == (None if tokens is None else Tokens(**tokens))
    assert usage.units == {name: Decimal(n) for name, n in case.get("units", {}).items()}
    assert usage.modifiers == case.get("modifiers", {})
    assert usage.status == case.get("status", "settled")
    assert usage.read_as == case.get("read_as", usage.read_as)
    stated = case["cost"] if case["source"] == "caller" else None
    assert (usage.cost and Decimal(str(usage.cost))) == (stated and Decimal(stated))


@pytest.mark.parametrize("case", ledger_cases.refused(), ids=ledger_cases.name)
def test_a_malformed_report_is_refused_with_the_member_named(case):
    with pytest.raises(ReportError) as refusal:
        read_usage(report(**case["report"]))
    assert refusal.value.type == case["error"]["type"]
    assert refusal.value.loc == tuple(case["error"]["loc"])


def test_the_table_covers_at_least_120_cases():
    assert len(ledger_cases.read()) + len(ledger_cases.refused()) >= 120
    assert all(case["cite"] for case in ledger_cases.read())
