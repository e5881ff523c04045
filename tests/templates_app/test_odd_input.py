"""Bodies at the edges of JSON: refused with 4xx, or kept exactly."""

import pytest

from templates_app.models import ConversationTemplate
from tests import odd_bodies
from tests.templates_app.test_templates import PATH, make

VALID = {"name": "t", "tool_config": {}}
REFUSED = odd_bodies.refused(VALID, "name", "tool_config")
VALUES = {"values": {}}


@pytest.mark.parametrize(("body", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_odd_template_is_refused(api, body, status):
    api.send("POST", PATH, body, expect=status)
    assert not ConversationTemplate.objects.exists()
    made = make(api, "before")
    api.send("PUT", f"{PATH}/{made['id']}", body, expect=status)
    assert ConversationTemplate.objects.get().name == "before"


@pytest.mark.parametrize(
    "body",
    [
        b'{"values": {"n": "\\u0000"}}',
        b'{"values": {"n": NaN}}',
        b'{"values": {"n": "\\ud800"}}',
        b'{"values": {"n": "\xff"}}',
        b'\xef\xbb\xbf{"values": {"n": 1}}',
        b'{"values": [1]}',
        b'{"values": {"n": [[]]}}',
    ],
)
def test_odd_values_are_refused_and_not_counted(api, body):
    made = make(api, variables={"n": None})
    status = 400 if b"\xff" in body else 422
    api.send("POST", f"{PATH}/{made['id']}/use", body, expect=status)
    assert ConversationTemplate.objects.get().usage_count == 0


@pytest.mark.parametrize("digits", odd_bodies.EXACT.values(), ids=odd_bodies.EXACT.keys())
def test_numbers_keep_all_digits(api, digits):
    response = api.generic(
        "POST", PATH, odd_bodies.exact(VALID, "tool_config", digits), "application/json"
    )
    expected = f'"tool_config":{{"n":{digits}}}'
    assert expected in response.content.decode()
    assert expected in api.get(f"{PATH}/{response.json()['id']}").content.decode()
    changes = odd_bodies.exact({}, "tool_config", digits)
    changed = api.generic("PUT", f"{PATH}/{response.json()['id']}", changes, "application/json")
    assert expected in changed.content.decode()


def test_last_of_two_members_counts(api):
    made = api.send("POST", PATH, odd_bodies.repeated(VALID, "name"))
    assert made["name"] == "t"


def test_messages_have_all_members_that_providers_know(api):
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "2 + 2?", "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}], "refusal": None},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
        {"role": "function", "content": "4", "name": "add"},
        {"role": "assistant", "content": [{"type": "thinking", "signature": "s"}]},
    ]
    made = make(api, messages=messages)
    assert made["messages"] == messages == api.read(f"{PATH}/{made['id']}")["messages"]
    rendered = api.send("POST", f"{PATH}/{made['id']}/use", {"values": {}})["rendered"]
    assert rendered["messages"] == messages
