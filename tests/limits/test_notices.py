"""Owners are told by mail, once, when limits are used up or change (docs/limits.md)."""

from datetime import UTC, datetime
from smtplib import SMTPRecipientsRefused, SMTPServerDisconnected

import pytest
from django.core import mail

from accounts.limits import notices
from accounts.models import (
    Allowance,
    LimitNotice,
    Membership,
    MonthlyLogs,
    Project,
    Role,
    Tier,
    User,
)
from core.ids import uuid7
from gateway import budgets
from gateway.models import Call, Token
from llmring_site import periodic_jobs

NOW = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture
def owned(tier):
    """A project with an owner, another owner without address, and a member."""
    project = Project.objects.create(name="Line\nbreak", tier=tier)
    people = [
        ("ana", "ana@x.test", Role.OWNER),
        ("bo", "", Role.OWNER),
        ("cy", "c@x.test", Role.MEMBER),
    ]
    for name, email, role in people:
        user = User.objects.create_user(name, email)
        Membership.objects.create(project=project, user=user, role=role)
    return project


def use(project, logs: int) -> None:
    MonthlyLogs.objects.update_or_create(
        project=project, month=NOW.date().replace(day=1), defaults={"logs": logs}
    )


def sent_mails(now: datetime = NOW) -> list[tuple[list[str], str]]:
    """Notify the owners; return recipients and subjects of the mails."""
    mail.outbox.clear()
    periodic_jobs._notify_owners(now)
    return [(message.to, message.subject) for message in mail.outbox]


def test_owner_is_told_at_80_and_100_percent_of_the_quota_once(owned):
    use(owned, 79)
    assert sent_mails() == []
    use(owned, 80)
    assert sent_mails() == [(["ana@x.test"], "Line break: 80 % of the logs of March 2026 are used")]
    assert sent_mails() == []
    use(owned, 100)
    assert sent_mails() == [
        (["ana@x.test"], "Line break: 100 % of the logs of March 2026 are used")
    ]
    assert "429" in mail.outbox[0].body
    assert sent_mails() == []


def test_next_month_and_a_raised_quota_start_new_notices(owned, tier):
    use(owned, 90)
    assert len(sent_mails()) == 1
    assert sent_mails(datetime(2026, 4, 10, tzinfo=UTC)) == []  # nothing used yet
    tier.logs_per_month = 110
    tier.save()
    assert len(sent_mails()) == 1


def test_mail_that_fails_is_sent_with_the_next_turn(owned, monkeypatch):
    def fail(*arguments, **options):
        raise SMTPServerDisconnected

    use(owned, 100)
    with monkeypatch.context() as context:
        context.setattr(notices, "send_mail", fail)
        assert sent_mails() == []
        assert not LimitNotice.objects.exists()
    assert len(sent_mails()) == 1


def test_mail_server_that_is_away_is_waited_for_once(owned, monkeypatch):
    """Else each mail would hold up the other periodic jobs for its ten seconds."""
    tries = []

    def time_out(*arguments, **options):
        tries.append(arguments)
        raise TimeoutError

    other = Project.objects.create(name="Other", tier=owned.tier)
    Membership.objects.create(project=other, user=User.objects.get(username="ana"), role="owner")
    use(owned, 100)
    use(other, 100)
    with monkeypatch.context() as context:
        context.setattr(notices, "send_mail", time_out)
        assert sent_mails() == []
    assert len(tries) == 1 and not LimitNotice.objects.exists()
    assert len(sent_mails()) == 2


def test_owner_is_told_once_although_the_mail_of_another_one_fails(owned, monkeypatch):
    """A mailbox that is gone must not have the others get the same mail every minute."""
    gone = User.objects.get(username="bo")
    gone.email = "gone@x.test"
    gone.save()
    send = notices.send_mail

    def refuse(title, text, sender, recipients, **options):
        if recipients == ["gone@x.test"]:
            raise SMTPRecipientsRefused({"gone@x.test": (550, b"no such mailbox")})
        return send(title, text, sender, recipients, **options)

    monkeypatch.setattr(notices, "send_mail", refuse)
    use(owned, 100)
    assert [to for to, _ in sent_mails()] == [["ana@x.test"]]
    assert sent_mails() == []


def test_project_without_an_address_is_told_when_it_has_one(owned):
    ana = User.objects.filter(username="ana")
    ana.update(email="")
    use(owned, 100)
    assert sent_mails() == []
    ana.update(email="new@x.test")
    assert [to for to, _ in sent_mails()] == [["new@x.test"]]


def test_owner_is_told_of_a_tokens_budget(owned):
    allowance = Allowance.objects.create(budget_usd=10)
    token = Token.objects.create(
        project=owned, allowance=allowance, name="ci", digest=b"1" * 32, hint="sk-…"
    )
    Allowance.objects.filter(id=allowance.id).update(spent_usd="7.99")
    assert list(budgets.notices()) == []
    Allowance.objects.filter(id=allowance.id).update(spent_usd="8")
    assert sent_mails() == [
        (["ana@x.test"], "Line break: 80 % of the US dollars of the token ci are used")
    ]
    assert "8 of 10 are used" in mail.outbox[0].body
    Allowance.objects.filter(id=allowance.id).update(spent_usd="10.5")
    assert len(sent_mails()) == 1
    assert sent_mails() == []
    assert token.project_id == owned.id


def test_d07_owner_is_told_a_week_before_a_shorter_retention_bites(owned):
    owned.tier = Tier.objects.create(name="lower", retention_days=7)
    owned.save()
    owned.refresh_from_db()
    [(to, subject)] = sent_mails(datetime.now(UTC))
    assert (to, subject) == (["ana@x.test"], "Line break: Older logs will be deleted")
    assert "keeps logs for 7 days" in mail.outbox[0].body
    assert f"{owned.former_retention_until:%Y-%m-%d %H:%M} UTC" in mail.outbox[0].body
    assert sent_mails(datetime.now(UTC)) == []


def test_owner_is_told_of_what_calls_of_unknown_cost_hold(owned):
    allowance = Allowance.objects.create(budget_usd=10, spent_usd=2, reserved_usd=7)
    token = Token.objects.create(
        project=owned, allowance=allowance, name="ci", digest=b"1" * 32, hint="sk-…"
    )
    call = {"project_id": owned.id, "token_id": token.id, "allowance_id": allowance.id}
    call |= {"worker_id": uuid7(), "started_at": NOW, "upstream": "openai", "row": {}}
    Call.objects.create(id=uuid7(), state="pending", reserved_usd=1, **call)
    Call.objects.create(id=uuid7(), state="unknown", reserved_usd=5, **call)
    assert list(budgets.notices()) == []  # 2 + 5
    Call.objects.create(id=uuid7(), state="unknown", reserved_usd=1, **call)
    assert [notice.percent for notice in budgets.notices()] == [80]
