"""How long logs are kept: D03, D07, and the jobs of the background (docs/limits.md)."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts import periodic
from accounts.models import MonthlyLogs, PeriodicJob, Project, RequestWindow, Tier
from llmring_site import periodic_jobs
from tests.client import ApiClient
from tests.usage.calls import CALL
from usage import retention
from usage.models import UsageLog

DAY = timedelta(days=1)


def log_at(client, *ages: int) -> None:
    """Log a call of so many days ago, for each."""
    now = timezone.now()
    logs = [{**CALL, "timestamp": (now - age * DAY).isoformat()} for age in ages]
    assert client.send("POST", "/api/v1/log/batch", {"logs": logs})["created"] == len(ages)


def ages(client) -> list[int]:
    logs = UsageLog.objects.filter(project_id=client.project.id).order_by("-created_at")
    return [(timezone.now() - log.created_at).days for log in logs]


def enforce(*, days_later: float = 0) -> int:
    return sum(retention.enforce(now=timezone.now() + days_later * DAY))


def test_logs_are_kept_as_long_as_the_tier_says(limited, api, monkeypatch):
    monkeypatch.setattr(retention, "LOGS_PER_TRANSACTION", 2)
    log_at(limited, 0, 29, 31, 32, 33, 400)
    log_at(api, 0, 400)  # without a tier
    assert list(retention.enforce(now=timezone.now())) == [2, 2]
    assert (ages(limited), ages(api)) == ([0, 29], [0, 400])
    assert enforce() == 0


def test_statistics_keep_what_deleted_logs_cost(limited):
    log_at(limited, 0, 40, 41)
    window = {"start_date": (timezone.now() - 60 * DAY).date().isoformat()}
    before = limited.read("/api/v1/stats", window)
    assert before["summary"]["total_requests"] == 3
    assert enforce() == 2
    assert limited.read("/api/v1/stats", window) == before
    assert len(limited.read("/api/v1/logs", window)) == 1


def test_command_counts_deletes_and_says_so_in_one_line(limited):
    log_at(limited, 1, 31, 32)
    out, err = StringIO(), StringIO()
    call_command("enforceretention", dry_run=True, stdout=out, stderr=err)
    assert out.getvalue() == "2 logs are past their tiers' retention\n"
    assert ages(limited) == [1, 31, 32]
    out = StringIO()
    call_command("enforceretention", stdout=out, stderr=err)
    assert out.getvalue() == "2 logs deleted that were past their tiers' retention\n"
    assert ages(limited) == [1]


@pytest.mark.parametrize("former", [90, None])
def test_d07_shorter_retention_bites_after_a_week(limited, tier, former):
    """The operator moves the project to a lower tier, which is then lowered again."""
    hobby = Tier.objects.create(name="before", retention_days=former)
    limited.project.tier = hobby
    limited.project.save()
    log_at(limited, 5, 20, 45, 80)
    Project.objects.filter(id=limited.project.id).update(tier=tier)  # 30 days
    assert enforce(days_later=6.9) == 0
    Tier.objects.filter(id=tier.id).update(retention_days=10)
    assert enforce(days_later=6.9) == 0
    assert ages(limited) == [5, 20, 45, 80]
    assert enforce(days_later=7.1) == 4  # all are older than ten days by then
    assert ages(limited) == []


def test_d07_tier_on_an_old_project_bites_after_a_week(api, tier):
    log_at(api, 1, 300)
    api.project.tier = tier
    api.project.save()
    assert enforce(days_later=6.9) == 0
    assert enforce(days_later=7.1) == 1
    assert ages(api) == [1]


def test_d07_rename_by_a_program_with_old_values_does_not_end_the_week(api, tier):
    log_at(api, 300)
    api.project.tier = tier
    api.project.save()
    api.project.name = "renamed"  # it has not read what the first change wrote
    api.project.save()
    assert enforce(days_later=6.9) == 0
    assert enforce(days_later=7.1) == 1


def test_d07_longer_retention_holds_at_once(limited):
    log_at(limited, 29)
    team = Tier.objects.create(name="longer")
    limited.project.tier = team
    limited.project.save()
    assert enforce(days_later=300) == 0


def test_new_project_of_a_tier_has_no_week(tier):
    project = Project.objects.create(name="new", tier=tier)
    project.refresh_from_db()
    assert project.former_retention_until is None


@pytest.fixture
def jobs(db_all):
    PeriodicJob.objects.all().delete()
    periodic.register(periodic_jobs._JOBS)


def test_jobs_are_done_by_one_worker_when_they_are_due(jobs, limited):
    log_at(limited, 31)
    now = timezone.now()
    assert RequestWindow.objects.update(minute=now - 2 * DAY) == 1
    assert set(periodic_jobs.run_due(now)) == {*periodic_jobs._JOBS}
    assert (ages(limited), RequestWindow.objects.count()) == ([], 0)
    assert periodic_jobs.run_due(now) == []  # another worker
    each_minute = {"gateway-cache", "limit-notices"}
    assert set(periodic_jobs.run_due(now + timedelta(seconds=61))) == each_minute
    assert set(periodic_jobs.run_due(now + timedelta(minutes=61))) == {*periodic_jobs._JOBS}


def test_jobs_go_on_when_a_clock_that_was_ahead_is_right_again(jobs):
    now = timezone.now()
    assert set(periodic_jobs.run_due(now + 400 * DAY)) == {*periodic_jobs._JOBS}
    assert set(periodic_jobs.run_due(now)) == {*periodic_jobs._JOBS}
    assert periodic_jobs.run_due(now) == []
    # The clocks of two machines are never the same.
    assert periodic_jobs.run_due(now - timedelta(seconds=30)) == []


def test_job_that_fails_leaves_the_others_and_its_next_turn(jobs, monkeypatch, caplog):
    def fail(now):
        raise RuntimeError("out of order")

    every, _ = periodic_jobs._JOBS["retention"]
    monkeypatch.setitem(periodic_jobs._JOBS, "retention", (every, fail))
    now = timezone.now()
    assert set(periodic_jobs.run_due(now)) == {*periodic_jobs._JOBS}
    assert "periodic job retention failed" in caplog.text
    assert "retention" in periodic_jobs.run_due(now + timedelta(minutes=61))


def test_d03_free_tier_in_a_month_of_31_days(limited):
    """What retention deletes on the 31st was logged on the 1st of the same month."""
    client = ApiClient(limited.key)
    log_at(limited, 0)
    [counter] = MonthlyLogs.objects.filter(project=limited.project)
    at_end = datetime.now(UTC) + 30.5 * DAY
    assert sum(retention.enforce(now=at_end)) == 1
    counter.refresh_from_db()
    assert counter.logs == 1
    assert client.read("/api/v1/logs") == []
