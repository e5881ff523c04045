"""Bodies at the edges of JSON: refused or kept exactly, by the edge and the views alike."""

import json

import pytest

from conversations.models import Conversation, Message
from tests import odd_bodies
from tests.conversations.test_edge import WAYS
from tests.conversations.test_transfer import line

NUMBERS = {"provider": "p", "model": "m"}
TAIL = f',"metadata":{json.dumps(NUMBERS)}}}'


@pytest.fixture
def path(api):
    return f"/conversations/{api.send('POST', '/conversations', {})['id']}"


def nested(body: bytes, before: str, after: str) -> bytes:
    return before.encode() + body + after.encode()


MESSAGE = odd_bodies.refused({"role": "user", "content": "x"}, "content", "metadata")
CONVERSATION = odd_bodies.refused({"title": "x", "values": {}}, "title", "values")
CALL = odd_bodies.refused(
    {"messages": [], "response": {}, "metadata": NUMBERS}, "logging_level", "response"
)
# As a part of another body these are something else.
WHOLE = {"byte order mark", "UTF-16", "no object", "cut off", "empty", "blank"}


def send(api, path, body, status) -> list:
    """Send by both ways; return the details, which must be the same."""
    details = []
    for way in WAYS:
        with way():
            details.append(api.send("POST", path, body, expect=status)["detail"])
    assert details[0] == details[1]
    return details[0]


@pytest.mark.parametrize("name", CONVERSATION)
def test_odd_conversation_is_refused(api, path, name):
    body, status = CONVERSATION[name]
    send(api, "/conversations", body, status)
    if "in an object" not in name and "in a name" not in name and name != "depth":
        api.send("PATCH", path, body, expect=status)
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("name", MESSAGE)
def test_odd_message_is_refused(api, path, name):
    body, status = MESSAGE[name]
    send(api, f"{path}/messages", body, status)
    if name not in WHOLE:
        send(api, f"{path}/messages/batch", nested(body, "[", "]"), status)
        send(api, f"{path}/messages/batch", nested(body, '{"messages":[', "]}"), status)
        call = nested(body, '{"messages":[', f'],"response":{{}}{TAIL}')
        send(api, "/conversations/log", call, status)
        call = nested(body, '{"messages":[],"response":', TAIL)
        send(api, "/conversations/log", call, status)
        imported = line().strip()[:-1] + ',"messages":['
        body = body[:-1] + b', "timestamp": "2026-01-05T10:00:00Z"}'
        api.send("POST", "/conversations/import", nested(body, imported, "]}"), expect=status)
    assert not Message.objects.exists()


@pytest.mark.parametrize("name", [name for name in CALL if not name.startswith("NUL in a text")])
def test_odd_call_is_refused(api, name):
    body, status = CALL[name]
    send(api, "/conversations/log", body, status)
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("digits", odd_bodies.EXACT.values(), ids=odd_bodies.EXACT.keys())
def test_numbers_of_calls_and_imports_keep_all_digits(api, digits):
    metadata = json.dumps(NUMBERS)
    call = f'{{"messages": [], "response": {{"usage": {{"n": {digits}}}}}, "metadata": {metadata}}}'
    for way in WAYS:
        with way():
            id = api.send("POST", "/conversations/log", call)["conversation_id"]
            assert f'"n": {digits}' in api.get(f"/conversations/{id}").content.decode()
    message = f'{{"role":"user","timestamp":"2026-01-05T10:00:00Z","metadata":{{"n":{digits}}}}}'
    text = line().strip()[:-1] + f',"messages":[{message}]}}'
    api.send("POST", "/conversations/import", text)
    id = json.loads(line())["id"]
    assert f'"n": {digits}' in api.get(f"/conversations/{id}").content.decode()


@pytest.mark.parametrize(
    ("cost", "stored"),
    [
        ("0.123456789012345678901", "0.123456789012"),
        ("123456789012345678.123456789012", "123456789012345678.123456789012"),
        ('"0.000000000001"', "0.000000000001"),
    ],
)
def test_costs_are_exact_to_twelve_places(api, path, cost, stored):
    message = f'{{"role": "user", "metadata": {{"cost": {cost}}}}}'
    for way in WAYS:
        with way():
            api.send("POST", f"{path}/messages", message)
    costs = {f"{cost:f}" for cost in Message.objects.values_list("cost", flat=True)}
    assert costs == {stored}


def test_last_of_two_members_counts_by_both_ways(api, path):
    body = odd_bodies.repeated({"role": "user", "content": "last"}, "content")
    for way in WAYS:
        with way():
            assert api.send("POST", f"{path}/messages", body)["content"] == "last"


@pytest.mark.parametrize("key", ['"a\\u0000b"', '"\\ud800"'])
def test_odd_names_of_provider_members_are_refused(api, path, key):
    send(api, f"{path}/messages", f'{{"role": "user", {key}: 1}}', 422)
    assert not Message.objects.exists()
