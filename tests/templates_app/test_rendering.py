"""Filling templates: values are data, and nothing in them is evaluated."""

import json

import pytest

from templates_app import rendering
from tests import odd_bodies
from tests.templates_app.test_templates import PATH, make


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{a}} and {{ b }}", "A and {{a}}"),
        ("{{a}}{{a}}", "AA"),
        ("{{unknown}} {{ a b }} {{}} {a} {{{a}}}", "{{unknown}} {{ a b }} {{}} {a} {A}"),
        (
            "{{#a}}x{{/a}} {{> a}} {{a.b}} {% a %} ${a}",
            "{{#a}}x{{/a}} {{> a}} {{a.b}} {% a %} ${a}",
        ),
        ("", ""),
    ],
)
def test_only_declared_names_are_replaced_and_once(text, expected):
    values = {"a": "A", "b": "{{a}}"}
    assert rendering.render(text, values, max_length=1000) == expected


def test_texts_inside_parts_are_filled_and_names_are_not():
    content = {"{{a}}": ["{{a}}", 5, None, True, {"x": "{{a}}"}]}
    filled = rendering.render(content, {"a": "A"}, max_length=1000)
    assert filled == {"{{a}}": ["A", 5, None, True, {"x": "A"}]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (5, "5"),
        (0.5, "0.5"),
        (2.0, "2.0"),
        (1e-7, "0.0000001"),
        (1.5e22, "15000000000000000000000"),
        (True, "true"),
        (False, "false"),
    ],
)
def test_values_stand_as_people_would_write_them(value, text):
    assert rendering.text_of(value) == text


def test_result_too_long_is_refused_before_it_is_made():
    with pytest.raises(rendering.TooLong):
        rendering.render("{{a}}" * 1000, {"a": "x" * 10**6}, max_length=10**7)


TEMPLATE = {
    "system_prompt": "Speak {{language}} to {{who}}.",
    "messages": [
        {"role": "user", "content": "Hello from {{who}}"},
        {"role": "assistant", "content": [{"type": "text", "text": "{{language}}?"}]},
    ],
    "variables": {"language": "English", "who": None},
    "model": "gpt-4o",
    "temperature": 0.1,
    "max_tokens": 50,
}


@pytest.mark.parametrize("values", [{"language": None, "who": "x"}, {"who": "x"}])
def test_null_value_takes_the_default(api, template, values):
    path = f"{PATH}/{template['id']}/use"
    assert api.send("POST", path, {"values": values})["rendered"]["system_prompt"] == (
        "Speak English to x."
    )
    made = api.send("POST", "/conversations", {"template_id": template["id"], "values": values})
    assert made["system_prompt"] == "Speak English to x."


@pytest.mark.parametrize("where", ["{{ n }}", "{{n}}", "{{n}} {{ n}}"])
def test_placeholder_of_a_declared_variable_never_stays(api, where):
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": where}],
        "name": where,
        "tool_calls": [{"function": {"arguments": where}}],
        "reasoning": {"text": where},
    }
    made = make(api, system_prompt=where, variables={"n": ""}, messages=[message])
    path = f"{PATH}/{made['id']}/use"
    for values in ({}, {"n": None}, {"n": ""}):
        rendered = api.send("POST", path, {"values": values})["rendered"]
        assert "n}}" not in json.dumps(rendered)
    begun = api.send("POST", "/conversations", {"template_id": made["id"]})
    assert "n}}" not in json.dumps(api.read(f"/conversations/{begun['id']}"))


@pytest.mark.parametrize("digits", odd_bodies.EXACT.values(), ids=odd_bodies.EXACT.keys())
def test_numbers_are_rendered_with_all_digits(api, digits):
    """As values, and as defaults that were stored and read back."""
    by_value = make(api, system_prompt="<{{n}}>", variables={"n": None})
    body = f'{{"values": {{"n": {digits}}}}}'
    rendered = api.send("POST", f"{PATH}/{by_value['id']}/use", body)["rendered"]
    assert rendered["system_prompt"] == f"<{digits}>"
    body = f'{{"name": "t", "system_prompt": "<{{{{n}}}}>", "variables": {{"n": {digits}}}}}'
    by_default = api.send("POST", PATH, body)
    rendered = api.send("POST", f"{PATH}/{by_default['id']}/use", {"values": {}})["rendered"]
    assert rendered["system_prompt"] == f"<{digits}>"


@pytest.fixture
def template(api):
    return make(api, "greeter", **TEMPLATE)


def test_use_with_values_returns_the_filled_prompt(api, template):
    path = f"{PATH}/{template['id']}/use"
    used = api.send("POST", path, {"values": {"who": "{{language}} <b>"}})
    assert used["rendered"] == {
        "system_prompt": "Speak English to {{language}} <b>.",
        "messages": [
            {"role": "user", "content": "Hello from {{language}} <b>"},
            {"role": "assistant", "content": [{"type": "text", "text": "English?"}]},
        ],
    }
    assert (used["usage_count"], used["system_prompt"]) == (1, TEMPLATE["system_prompt"])


def test_use_without_values_returns_the_template_alone(api, template):
    path = f"{PATH}/{template['id']}/use"
    for body in (None, {}, {"values": None}):
        assert "rendered" not in api.send("POST", path, body)
    assert api.read(f"{PATH}/{template['id']}")["usage_count"] == 3


@pytest.mark.parametrize(
    ("values", "type", "name"),
    [
        ({}, "missing", "who"),
        ({"who": None}, "missing", "who"),
        ({"who": "x", "other": "y"}, "unknown_variable", "other"),
        ({"who": {"a": 1}}, "variable_value", "who"),
    ],
)
def test_wrong_values_are_refused_and_not_counted(api, template, values, type, name):
    path = f"{PATH}/{template['id']}"
    error = api.send("POST", f"{path}/use", {"values": values}, expect=422)["detail"]
    expected = [(type, ["body", "values", name])]
    assert [(issue["type"], issue["loc"]) for issue in error] == expected
    body = {"template_id": template["id"], "values": values}
    assert api.send("POST", "/conversations", body, expect=422)["detail"] == error
    assert api.read(path)["usage_count"] == 0
    assert api.read("/conversations") == []


def test_overlong_result_is_refused(api, settings):
    made = make(api, system_prompt="{{a}}" * 1000, variables={"a": None})
    path = f"{PATH}/{made['id']}/use"
    error = api.send("POST", path, {"values": {"a": "x" * 100_000}}, expect=422)["detail"][0]
    assert (error["type"], error["loc"]) == ("too_long", ["body", "values"])


def test_conversation_begins_with_the_filled_template(api, template):
    body = {"template_id": template["id"], "values": {"who": "Ada", "language": "French"}}
    made = api.send("POST", "/conversations", body)
    expected = {
        "title": "greeter",
        "system_prompt": "Speak French to Ada.",
        "model_alias": "gpt-4o",
        "temperature": 0.1,
        "max_tokens": 50,
        "template_id": template["id"],
        "message_count": 2,
    }
    assert {name: made[name] for name in expected} == expected
    opened = api.read(f"/conversations/{made['id']}")
    texts = [message["content"] for message in opened["messages"]]
    assert texts == ["Hello from Ada", [{"type": "text", "text": "French?"}]]
    assert api.read(f"{PATH}/{template['id']}")["usage_count"] == 1


def test_what_the_request_gives_wins_over_the_template(api, template):
    stated = {"title": "own", "system_prompt": "", "model_alias": "fast", "temperature": 0}
    body = {"template_id": template["id"], "values": {"who": "Ada"}, **stated}
    made = api.send("POST", "/conversations", body)
    assert {name: made[name] for name in stated} == stated
    assert made["max_tokens"] == 50


def test_strangers_template_starts_nothing(api, other_api, template):
    body = {"template_id": template["id"], "values": {"who": "x"}}
    result = other_api.send("POST", "/conversations", body, expect=404)
    assert result == {"detail": "Template not found"}
    api.send("POST", "/conversations", {"template_id": "x"}, expect=422)


def test_privacy_holds_for_a_templates_messages(api, template, settings):
    body = {"template_id": template["id"], "values": {"who": "Ada"}}
    settings.MESSAGE_LOGGING_LEVEL = "metadata"
    made = api.send("POST", "/conversations", body)
    opened = api.read(f"/conversations/{made['id']}")
    assert [message["content"] for message in opened["messages"]] == [None, None]
    settings.MESSAGE_LOGGING_LEVEL = "none"
    assert api.send("POST", "/conversations", body)["message_count"] == 0
