"""Making, listing, changing, deleting and using templates (contract, section 8)."""

import pytest

from templates_app.models import ConversationTemplate, TemplateVersion
from tests.client import ApiClient
from tests.threads import at_once

PATH = "/api/v1/templates"
UNKNOWN = f"{PATH}/59d80ca7-0000-4000-8000-000000000000"
DEFAULTS = {
    "description": None,
    "system_prompt": None,
    "messages": [],
    "variables": {},
    "model": "claude-3-sonnet-20240229",
    "temperature": 0.7,
    "max_tokens": None,
    "tool_config": {},
    "created_by": None,
    "project_id": None,
    "is_global": False,
    "is_active": True,
    "usage_count": 0,
    "last_used_at": None,
}


def make(api, name="t", **members):
    return api.send("POST", PATH, {"name": name, **members})


@pytest.fixture
def shared(db_all):
    return ConversationTemplate.objects.create(name="shared", system_prompt="Hello")


def names(api, path=PATH, **query):
    return [row.get("name") or row["template_name"] for row in api.read(path, query)]


def test_made_template_is_read_and_listed(api):
    """The older server answered 500 (B47); `created_by` is optional here."""
    made = make(api, "minimal")
    times = {"created_at": made["created_at"], "updated_at": made["created_at"]}
    own = {"id": made["id"], "name": "minimal", "api_key_id": str(api.api_key_id)}
    assert made == {**DEFAULTS, **own, **times}
    assert api.read(f"{PATH}/{made['id']}/") == made
    assert api.read(f"{PATH}/") == [made]


def test_every_member_is_kept(api):
    stated = {
        "description": "d",
        "system_prompt": "{{x}}",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "{{x}}"}]}],
        "variables": {"x": "1", "y": None},
        "model": "gpt-4o",
        "temperature": 1.5,
        "max_tokens": 9,
        "tool_config": {"tools": ["a"]},
        "created_by": "ada",
        "project_id": "label",
    }
    made = make(api, **stated, is_active=False, usage_count=7)
    assert {name: made[name] for name in stated} == stated
    assert (made["is_active"], made["usage_count"]) == (True, 0)


def test_nulls_are_defaults(api):
    stated = dict.fromkeys(("messages", "variables", "model", "temperature", "tool_config"))
    made = make(api, **stated)
    assert {name: made[name] for name in stated} == {name: DEFAULTS[name] for name in stated}


def test_list_has_own_and_global_ones_newest_first(api, other_api, shared):
    make(api, "mine", created_by="ada")
    make(other_api, "theirs")
    assert names(api) == ["mine", "shared"]
    assert names(api, created_by="ada") == ["mine"]
    assert names(api, limit=1, offset=1) == ["shared"]
    assert api.read(PATH)[1]["is_global"] is True


def test_members_of_messages_keep_their_order(api):
    """Of a set, each process would have another one."""
    names = ["role", "content", "name", "tool_calls", "metadata", "input_tokens", "audio", "a"]
    values = ["user", "x", "n", [], {}, 1, None, None]
    made = make(api, messages=[dict(zip(names, values, strict=True))])
    assert list(made["messages"][0]) == names


def test_put_changes_what_is_given(api):
    made = make(api, description="d", max_tokens=5, created_by="ada")
    path = f"{PATH}/{made['id']}"
    assert api.send("PUT", path, {}) == made
    changed = api.send("PUT", path, {"name": None, "model": "m", "max_tokens": None})
    expected = {"model": "m", "max_tokens": None, "updated_at": changed["updated_at"]}
    assert changed == {**made, **expected}
    assert changed["updated_at"] > made["updated_at"]


def test_put_keeps_the_text_that_it_replaces(api):
    template = api.send("POST", PATH, {"name": "t", "variables": {"strict": 1}})
    api.send("PUT", f"{PATH}/{template['id']}", {"variables": {"strict": True}})
    version = TemplateVersion.objects.get()
    assert (version.number, version.members["variables"]) == (1, {"strict": 1})
    assert version.members["variables"]["strict"] is not True


def test_put_of_the_same_text_keeps_no_version(api):
    parent = "59d80ca7-0000-4000-8000-000000000000"
    message = {"role": "user", "metadata": {"cost": 0.1, "a": 1}, "parent_id": parent}
    body = {"name": "t", "messages": [message], "variables": {"a": 1.5}, "temperature": 1}
    template = api.send("POST", PATH, body)
    api.send("PUT", f"{PATH}/{template['id']}", body)
    assert not TemplateVersion.objects.exists()


def test_deleted_template_is_hidden_and_can_come_back(api):
    made = make(api)
    path = f"{PATH}/{made['id']}"
    assert api.send("DELETE", path) == {"message": "Template deleted successfully"}
    gone = {"detail": "Template not found"}
    assert api.read(path, expect=404) == gone
    assert api.send("DELETE", path, expect=404) == gone
    assert api.send("POST", f"{path}/use", expect=404) == gone
    assert api.send("PUT", path, {"name": "x"}, expect=404) == gone
    assert names(api) == names(api, f"{PATH}/stats") == []
    assert api.send("PUT", path, {"is_active": True})["is_active"] is True
    assert names(api) == ["t"]


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [("GET", "", None), ("PUT", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/use", None)],
)
def test_strangers_template_is_not_found(api, other_api, anonymous, method, suffix, body):
    path = f"{PATH}/{make(api)['id']}{suffix}"
    for where in (path, UNKNOWN + suffix):
        error = other_api.send(method, where, body, expect=404)
        assert error == {"detail": "Template not found"}
    anonymous.send(method, path, body, expect=401)
    error = api.send(method, f"{PATH}/nonsense{suffix}", body, expect=422)["detail"][0]
    assert (error["type"], error["loc"]) == ("uuid_parsing", ["path", "template_id"])
    assert ConversationTemplate.objects.filter(is_active=True, name="t").count() == 1


def test_global_templates_are_used_but_not_changed(api, shared):
    """Any key could edit them on the older server (B10)."""
    path = f"{PATH}/{shared.id}"
    assert api.read(path)["api_key_id"] is None
    assert api.send("POST", f"{path}/use")["usage_count"] == 1
    api.send("PUT", path, {"name": "mine"}, expect=403)
    api.send("DELETE", path, expect=403)
    shared.refresh_from_db()
    assert (shared.name, shared.is_active) == ("shared", True)


def test_stats_are_ordered_by_use_then_last_use(api):
    ids = {name: make(api, name)["id"] for name in ("never", "twice", "once", "later")}
    for name in ("twice", "twice", "once", "later"):
        used = api.send("POST", f"{PATH}/{ids[name]}/use/")
        assert used["last_used_at"] is not None
    assert names(api, f"{PATH}/stats") == ["twice", "later", "once", "never"]
    first = api.read(f"{PATH}/stats/", {"limit": 1})[0]
    assert first["usage_count"] == 2
    assert set(first) == {
        "template_id",
        "template_name",
        "usage_count",
        "last_used_at",
        "created_at",
    }


@pytest.mark.django_db(transaction=True)
def test_concurrent_uses_are_all_counted(api):
    path = f"{PATH}/{make(api)['id']}/use"

    def use():
        client = ApiClient(api.key)
        for _ in range(5):
            client.send("POST", path)

    at_once(*[use] * 8)
    assert ConversationTemplate.objects.get().usage_count == 40


@pytest.mark.parametrize(
    ("members", "type", "loc"),
    [
        ({"name": None}, "string_type", ["name"]),
        ({"name": ""}, "string_too_short", ["name"]),
        ({"name": "x" * 256}, "string_too_long", ["name"]),
        ({"name": "a\x00"}, "null_character", ["name"]),
        ({"model": "x" * 256}, "string_too_long", ["model"]),
        ({"temperature": 2.5}, "less_than_equal", ["temperature"]),
        ({"max_tokens": 0}, "greater_than_equal", ["max_tokens"]),
        ({"tool_config": []}, "dict_type", ["tool_config"]),
        ({"created_by": "x" * 256}, "string_too_long", ["created_by"]),
        (
            {"messages": [{"role": "robot", "content": ""}]},
            "string_pattern_mismatch",
            ["messages", 0, "role"],
        ),
        ({"messages": [{"content": "x"}]}, "missing", ["messages", 0, "role"]),
        ({"variables": {"a b": "x"}}, "variable_name", ["variables", "a b"]),
        ({"variables": {"a": ["x"]}}, "variable_value", ["variables", "a"]),
    ],
)
def test_bad_template_is_refused(api, members, type, loc):
    error = api.send("POST", PATH, {"name": "t", **members}, expect=422)["detail"]
    assert [(issue["type"], issue["loc"]) for issue in error] == [(type, ["body", *loc])]
    assert not ConversationTemplate.objects.exists()


def test_bad_queries_and_methods_are_refused(api):
    api.read(PATH, {"limit": 101}, expect=422)
    api.read(f"{PATH}/stats", {"limit": 51}, expect=422)
    api.send("PATCH", f"{PATH}/{make(api)['id']}", {}, expect=405)
    assert api.send("POST", PATH, expect=422)["detail"][0]["type"] == "missing"


def test_null_message_of_a_template_is_refused(api):
    body = {"name": "t", "messages": [None]}
    (error,) = api.send("POST", "/api/v1/templates", body, expect=422)["detail"]
    assert error["loc"] == ["body", "messages", 0]
    assert api.read("/api/v1/templates") == []
