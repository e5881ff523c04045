"""Deleting old messages: `DELETE /conversations/old-messages` and `prunemessages`."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from conversations import retention
from conversations.models import ConversationWords, Message
from tests.conversations.test_transfer import imported, line

NOW = datetime.now(UTC)


def days_ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat()


@pytest.fixture
def history(api):
    """A conversation with messages of 50, 40 and 10 days ago."""
    texts = {50: "oldest", 40: "older", 10: "recent"}
    messages = [
        {
            "role": "user",
            "content": text,
            "timestamp": days_ago(days),
            "input_tokens": days,
            "output_tokens": 1,
            "metadata": {"cost": days / 100},
        }
        for days, text in texts.items()
    ]
    return imported(api, line(created_at=days_ago(50), title="kept", messages=messages))


def texts(api, id):
    return [message["content"] for message in api.read(f"/conversations/{id}")["messages"]]


def run(*options) -> str:
    out = io.StringIO()
    call_command("prunemessages", *options, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_messages_older_than_the_setting_are_deleted(api, history):
    """The older server always answered 500 (B46)."""
    reply = api.send("DELETE", "/conversations/old-messages")
    assert reply == {"deleted_count": 2, "retention_days": 30}
    assert texts(api, history) == ["recent"]
    assert api.send("DELETE", "/api/v1/conversations/old-messages/")["deleted_count"] == 0


def test_counters_and_search_follow(api, history):
    before = api.read(f"/conversations/{history}")
    assert (before["message_count"], before["total_input_tokens"]) == (3, 100)
    api.send("DELETE", "/conversations/old-messages?retention_days=45")
    after = api.read(f"/conversations/{history}")
    sums = ("message_count", "total_input_tokens", "total_output_tokens", "total_cost")
    assert [after[name] for name in sums] == [2, 50, 2, 0.5]
    assert after["updated_at"] == before["updated_at"]
    assert api.read("/conversations?q=oldest") == []
    assert len(api.read("/conversations?q=older kept")) == 1
    api.send("POST", f"/conversations/{history}/messages", {"role": "user", "content": "new"})
    assert texts(api, history) == ["older", "recent", "new"]


@pytest.mark.parametrize(
    ("days", "used", "left"), [("0", 30, 1), ("", 30, 1), ("99999999", 99999999, 3)]
)
def test_days_of_the_request_and_the_setting(api, history, days, used, left):
    reply = api.send("DELETE", f"/conversations/old-messages?retention_days={days}")
    assert reply == {"deleted_count": 3 - left, "retention_days": used}


def test_setting_of_zero_days_keeps_everything(api, history, settings):
    settings.MESSAGE_RETENTION_DAYS = 0
    assert api.send("DELETE", "/conversations/old-messages")["deleted_count"] == 0
    assert run() == "0 messages older than 0 days deleted"
    assert Message.objects.count() == 3


def test_strangers_messages_stay(api, other_api, history, anonymous):
    """The older server deleted everybody's (B11)."""
    assert other_api.send("DELETE", "/conversations/old-messages")["deleted_count"] == 0
    anonymous.send("DELETE", "/conversations/old-messages", expect=401)
    assert Message.objects.count() == 3


@pytest.mark.parametrize("days", ["-1", "many", "1.5"])
def test_bad_days_are_refused(api, history, days):
    api.send("DELETE", f"/conversations/old-messages?retention_days={days}", expect=422)
    assert Message.objects.count() == 3


def test_command_prunes_all_projects_in_batches(api, other_api, history, monkeypatch):
    messages = [{"role": "user", "content": "x", "timestamp": days_ago(60)}] * 5
    imported(other_api, line(created_at=days_ago(60), messages=messages))
    monkeypatch.setattr(retention, "MESSAGES_PER_TRANSACTION", 2)
    assert run("--dry-run") == "7 messages older than 30 days"
    assert Message.objects.count() == 8
    assert run() == "7 messages older than 30 days deleted"
    assert texts(api, history) == ["recent"]
    assert ConversationWords.objects.filter(is_title=False).count() == 1
    assert run("--days", "5") == "1 message older than 5 days deleted"
    with pytest.raises(CommandError):
        run("--days", "-1")
