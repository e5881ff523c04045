"""`manage.py repricelogs`: what is known today, as corrections of what was known then."""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.registry_proxy import samples
from usage.models import UsageLog

LOG = "/api/v1/log"
CALL = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 200}
UNLISTED = {**CALL, "model": "gpt-4o-maxi"}


def reprice(*arguments: str) -> str:
    out, progress = StringIO(), StringIO()
    call_command("repricelogs", "--from", "2026-01-01", *arguments, stdout=out, stderr=progress)
    assert progress.getvalue() == ""  # which is for terminals
    return out.getvalue()


def listing(api) -> list[tuple]:
    logs = api.read("/api/v1/logs")
    return sorted((log["entry_type"], log["cost"], log["cost_source"]) for log in logs)


def summary(api) -> tuple:
    stats = api.read("/api/v1/stats")["summary"]
    return stats["total_requests"], stats["total_cost"], stats["unpriced_requests"]


def test_a_ledger_that_is_right_stays_as_it_is(api, refreshed):
    refreshed(11, 20)
    api.send("POST", LOG, CALL)
    api.send("POST", LOG, {**CALL, "cost": 5})
    api.send("POST", LOG, UNLISTED)
    assert reprice().splitlines() == ["2 logs checked, 0 corrected, by 0 USD in all"]
    assert UsageLog.objects.count() == 3


def test_calls_that_had_no_price_get_the_one_that_is_known_now(api, refreshed):
    """1,000 × 0.15 + 200 × 0.6, per million."""
    api.send("POST", LOG, CALL)
    assert summary(api) == (1, "0", 1)
    refreshed(11, 20)
    changes = "openai:gpt-4o-mini: 1 logs, 0 -> 0.00027 USD"
    assert reprice("--dry-run").splitlines() == [
        changes,
        "1 logs checked, 1 would change, by 0.00027 USD in all",
    ]
    assert summary(api) == (1, "0", 1)
    assert reprice("--unpriced").splitlines() == [
        changes,
        "1 logs checked, 1 corrected, by 0.00027 USD in all",
    ]
    assert summary(api) == (1, "0.00027", 0)
    assert listing(api) == [
        ("call", 0, "unpriced"),
        ("replacement", 0.00027, "registry"),
        ("reversal", 0, "unpriced"),
    ]
    assert reprice().splitlines() == ["1 logs checked, 0 corrected, by 0 USD in all"]


def test_the_operators_new_price_of_a_past_time_is_applied(api, refreshed):
    refreshed(11, 20)
    api.send("POST", LOG, {**UNLISTED, "timestamp": "2026-11-21T00:00:00Z"})
    model = "setprice", "openai", "gpt-4o-maxi"
    for prices in (
        ("input=2", "output=10", "--from", "2026-11-01", "--to", "2026-11-22"),
        ("input=20", "output=100", "--from", "2026-11-22"),
    ):
        call_command(*model, *prices, stdout=StringIO())
    reprice()
    assert summary(api) == (1, "0.004", 0)
    replacement = UsageLog.objects.get(entry_type="replacement")
    assert replacement.cost == Decimal("0.004")
    assert replacement.correction_author == "repricelogs"
    original = UsageLog.objects.get(entry_type="call")
    assert (replacement.created_at, replacement.corrects_id) == (original.created_at, original.id)


def test_a_cost_that_changes_is_shown_before_and_after(api, refreshed):
    """Each 1,000 × 0.15 + 200 × 0.6, then 1,000 × 2 + 200 × 10, per million."""
    refreshed(11, 20)
    at = "2026-11-21T00:00:00Z"  # one time for all, so that replacements stand between the calls
    api.send("POST", f"{LOG}/batch", [{**CALL, "timestamp": at}] * 8)
    prices = "input=2", "output=10", "--from", "2026-01-01"
    call_command("setprice", "openai", "gpt-4o-mini", *prices, stdout=StringIO())
    assert "0 logs checked" in reprice("--unpriced")
    assert reprice().splitlines() == [
        "openai:gpt-4o-mini: 8 logs, 0.00216 -> 0.032 USD",
        "8 logs checked, 8 corrected, by 0.02984 USD in all",
    ]


def test_a_projects_own_price_is_applied_to_its_logs_alone(api, other_api, refreshed):
    """1,000 × 2 + 200 × 10, per million."""
    refreshed(11, 20)
    for client in (api, other_api):
        client.send("POST", LOG, UNLISTED)
    own = {"provider": "openai", "model": "gpt-4o-maxi", "prices": {"input": 2, "output": 10}}
    api.send("POST", "/api/v1/prices", {**own, "valid_from": "2026-01-01T00:00:00Z"})
    assert "2 logs checked, 1 corrected" in reprice()
    assert (summary(api), summary(other_api)) == ((1, "0.004", 0), (1, "0", 1))


def test_only_the_named_project_is_repriced(api, other_api, refreshed, other_project):
    api.send("POST", LOG, CALL)
    other_api.send("POST", LOG, CALL)
    refreshed(11, 20)
    reprice("--project", other_project.name)
    assert (summary(api)[1], summary(other_api)[1]) == ("0", "0.00027")


def test_calls_outside_the_window_stay(api, refreshed):
    api.send("POST", LOG, {**CALL, "timestamp": "2026-02-01T00:00:00Z"})
    refreshed(11, 20)
    assert "0 logs checked" in reprice("--to", "2026-01-31")
    assert "0 logs checked" in reprice("--from", "2026-02-02")
    assert "1 corrected" in reprice("--to", "2026-02-01")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--from", "yesterday"], "^--from: "),
        (["--to", "x"], "^--to: "),
        (["--project", "x"], "no project x"),
    ],
)
def test_malformed_arguments_are_named(db_all, arguments, message):
    with pytest.raises(CommandError, match=message):
        reprice(*arguments)


def test_the_other_classes_of_a_log_stay(api, refreshed):
    report = {
        "provider": "anthropic",
        "model": "claude-opus-4-1",
        "usage": {
            "input_tokens": 27,
            "cache_read_input_tokens": 4000,
            "output_tokens": 210,
            "output_tokens_details": {"thinking_tokens": 150},
        },
        "origin": "billing",
        "metadata": {"user_id": "u1"},
    }
    api.send("POST", LOG, report)
    refreshed(11, 20, **samples.real_files())
    reprice()
    call, replacement, _ = sorted(
        api.read("/api/v1/logs"),
        key=lambda log: ["call", "replacement", "reversal"].index(log["entry_type"]),
    )
    changed = {name for name in call if call[name] != replacement[name]}
    assert "cost" in changed
    assert not changed & {"input_tokens", "cached_input_tokens", "thinking_tokens", "origin"}
