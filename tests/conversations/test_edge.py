"""The edge and the views answer alike."""

import json
import os
from contextlib import nullcontext
from unittest.mock import patch

import pytest

from tests.conversations.test_calls import CALL
from tests.conversations.test_messages import FULL


def by_views():
    """Leave requests to the views, as the edge does with those that it does not serve."""
    return patch.dict(os.environ, VIEWS="1")


WAYS = (nullcontext, by_views)


def alike(found: dict | list):
    """The reply without what is new in each."""
    text = json.dumps(found)
    new = {"id", "conversation_id", "message_id", "timestamp", "created_at", "updated_at"}
    new |= {"last_message_at", "parent_id"}

    def strip(value):
        if isinstance(value, dict):
            return {name: strip(inner) for name, inner in value.items() if name not in new}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(json.loads(text))


def both_ways(api, method, path, body=None):
    with by_views():
        by_view = api.send(method, path, body)
    return alike(by_view), alike(api.send(method, path, body))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/conversations", {}),
        ("/conversations", {"title": "t", "temperature": 1, "max_tokens": 5, "project_id": "p"}),
        ("/conversations/log", CALL),
        ("/conversations/log", {**CALL, "messages": [], "response": {}}),
    ],
)
def test_creations_are_answered_alike(api, path, body):
    by_view, by_edge = both_ways(api, "POST", path, body)
    assert by_view == by_edge
    listed = [alike(row) for row in api.read("/conversations")]
    assert listed[0] == listed[1]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user"},
        FULL,
        {**FULL, "content": [{"type": "text", "text": "x"}], "metadata": None},
        {**FULL, "metadata": {"cost": 1}, "token_count": 3},
        {**FULL, "metadata": {"cost": 0.1234567890123456}},
    ],
)
def test_messages_are_answered_and_stored_alike(api, message):
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}"
    one = both_ways(api, "POST", f"{path}/messages", message)
    many = both_ways(api, "POST", f"{path}/messages/batch", {"messages": [message]})
    stored = [alike(row) for row in api.read(f"{path}/messages")]
    assert [one[0], one[1], many[0][0], many[1][0]] == stored
    assert all(row == stored[0] for row in stored)
    by_view, by_edge = both_ways(api, "GET", path)
    assert by_view == by_edge
    for query in ("?message_limit=2", "?message_limit=1000", "?include_messages=false"):
        by_view, by_edge = both_ways(api, "GET", path + query)
        assert by_view == by_edge


def test_unknown_conversation_is_answered_alike(api):
    path = "/conversations/59d80ca7-0000-4000-8000-000000000000"
    for method, where, body in (
        ("GET", path, None),
        ("POST", f"{path}/messages", FULL),
        ("POST", f"{path}/messages/batch", [FULL]),
        ("POST", f"{path}/messages/batch", {"messages": [FULL]}),
    ):
        for way in WAYS:
            with way():
                reply = api.send(method, where, body, expect=404)
            assert reply == {"detail": "Conversation not found"}
    for id in ("-" * 36, "59d80ca7-0000-4000-8000-00000000000-"):
        api.read(f"/conversations/{id}", expect=422)


@pytest.mark.parametrize("role", ["", "robot", None, 7])
def test_unknown_role_is_refused_alike(api, role):
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    message = {"role": role, "content": "x"}
    for way in WAYS:
        for body, where in ((message, path), ({"messages": [message]}, f"{path}/batch")):
            with way():
                [issue] = api.send("POST", where, body, expect=422)["detail"]
            assert issue["loc"][-1] == "role"


@pytest.mark.parametrize("number", [2**63, 2**64, 2**70, 10**400, -(2**70), 1e308, 1e-300])
def test_numbers_beyond_any_integer_are_taken_alike(api, number):
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    body = {"role": "user", "content": [{"n": number}], "metadata": {"n": [number]}}
    for message in (json.dumps(body), json.dumps({**body, "content": "x"})):
        statuses = set()
        bodies = (
            (path, message),
            (f"{path}/batch", f"[{message}]"),
            (f"{path}/batch", f'{{"messages":[{message}]}}'),
        )
        for way in WAYS:
            for where, text in bodies:
                with way():
                    response = api.generic("POST", where, text, "application/json")
                statuses.add(response.status_code)
        assert statuses in ({200}, {422})
    rows = [alike(row) for row in api.read(path)]
    assert all(row["metadata"] == rows[0]["metadata"] for row in rows)
    assert len({row["content_hash"] for row in rows if row["content"] != "x"}) <= 1
