"""Malformed input is 4xx, in the contract's shape, and leaves nothing behind (contract, 7)."""

import pytest

from conversations.models import Conversation, ConversationWords, Message

MESSAGE = {"role": "user", "content": "kept"}
CALL = {
    "messages": [MESSAGE],
    "response": {"content": "ok"},
    "metadata": {"provider": "openai", "model": "m"},
}
DEEP = "[" * 200 + "]" * 200


def issues(found) -> list[tuple]:
    return [(issue["type"], tuple(issue["loc"])) for issue in found["detail"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"title": "x" * 501}, ("string_too_long", ("body", "title"))),
        ({"title": 5}, ("string_type", ("body", "title"))),
        ({"title": "a\x00b"}, ("null_character", ("body", "title"))),
        ({"model_alias": "x" * 256}, ("string_too_long", ("body", "model_alias"))),
        ({"temperature": 2.1}, ("less_than_equal", ("body", "temperature"))),
        ({"temperature": -0.1}, ("greater_than_equal", ("body", "temperature"))),
        ({"temperature": "NaN"}, ("finite_number", ("body", "temperature"))),
        ({"temperature": None}, ("float_type", ("body", "temperature"))),
        ({"max_tokens": 0}, ("greater_than_equal", ("body", "max_tokens"))),
        ({"max_tokens": 10**30}, ("less_than_equal", ("body", "max_tokens"))),
        ({"project_id": "x" * 256}, ("string_too_long", ("body", "project_id"))),
        ([], ("model_attributes_type", ("body",))),
        ("text", ("json_invalid", ("body", 0))),
        ('{"temperature": NaN}', ("json_invalid", ("body", 16))),
    ],
)
def test_bad_conversation_is_refused(api, body, expected):
    assert issues(api.send("POST", "/conversations", body, expect=422)) == [expected]
    assert not Conversation.objects.exists()


def test_missing_body_and_other_content_types_are_refused(api):
    assert issues(api.send("POST", "/conversations", expect=422)) == [("missing", ("body",))]
    result = api.send("POST", "/conversations", "{}", expect=422, content_type="text/plain")
    assert issues(result) == [("model_attributes_type", ("body",))]
    api.send("POST", "/conversations", b"\xff", expect=400)


BAD_MESSAGES = [
    ({}, "missing", ("role",)),
    ({"role": "robot"}, "string_pattern_mismatch", ("role",)),
    ({"role": None}, "string_type", ("role",)),
    ({"role": ["user"]}, "string_type", ("role",)),
    ({"role": "user", "content": 5}, "string_type", ("content",)),
    ({"role": "user", "content": "a\x00"}, "null_character", ("content",)),
    ({"role": "user", "content": [{"a": "\x00"}]}, "null_character", ("content",)),
    ({"role": "user", "tool_calls": "x"}, "list_type", ("tool_calls",)),
    ({"role": "user", "tool_results": [1]}, "dict_type", ("tool_results", 0)),
    ({"role": "user", "metadata": []}, "dict_type", ("metadata",)),
    ({"role": "user", "metadata": {"cost": "much"}}, "float_parsing", ("metadata", "cost")),
    ({"role": "user", "metadata": {"cost": -1}}, "greater_than_equal", ("metadata", "cost")),
    ({"role": "user", "metadata": {"cost": 1e300}}, "less_than_equal", ("metadata", "cost")),
    ({"role": "user", "metadata": {"cost": {}}}, "float_type", ("metadata", "cost")),
    ({"role": "user", "input_tokens": -1}, "greater_than_equal", ("input_tokens",)),
    ({"role": "user", "output_tokens": 2**31}, "less_than_equal", ("output_tokens",)),
    ({"role": "user", "token_count": "many"}, "int_parsing", ("token_count",)),
    (5, "model_attributes_type", ()),
]


@pytest.mark.parametrize(("message", "type", "loc"), BAD_MESSAGES)
def test_one_bad_message_stores_none(api, message, type, loc):
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}"
    body = {"messages": [MESSAGE, message]}
    result = api.send("POST", f"{path}/messages/batch", body, expect=422)
    assert issues(result) == [(type, ("body", "messages", 1, *loc))]
    result = api.send("POST", f"{path}/messages", message, expect=422)
    assert issues(result) == [(type, ("body", *loc))]
    assert api.read(path)["message_count"] == 0
    assert not Message.objects.exists()


def test_nesting_deeper_than_can_be_read_back_is_refused(api):
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    for member in ("content", "tool_calls", "metadata"):
        value = f'{{"a":{DEEP}}}' if member == "metadata" else DEEP.replace("[]", "[{}]")
        for where, body in (("", "%s"), ("/batch", '{"messages":[%s]}')):
            message = '{"role":"user","%s":%s}' % (member, value)  # noqa: UP031
            result = api.send("POST", path + where, body % message, expect=422)
            assert result["detail"][0]["type"] in ("too_deep", "dict_type")
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("changes", "type", "loc"),
    [
        ({"messages": None}, "list_type", ("messages",)),
        ({"messages": {}}, "list_type", ("messages",)),
        ({"messages": ["x"]}, "model_attributes_type", ("messages", 0)),
        ({"messages": [{"role": "alien"}]}, "string_pattern_mismatch", ("messages", 0, "role")),
        ({"response": "x"}, "model_attributes_type", ("response",)),
        ({"response": {"content": 5}}, "string_type", ("response", "content")),
        ({"metadata": {"model": "m"}}, "missing", ("metadata", "provider")),
        ({"metadata": {"provider": "p"}}, "missing", ("metadata", "model")),
        ({"logging_level": "some"}, "literal_error", ("logging_level",)),
    ],
)
def test_bad_call_stores_nothing(api, changes, type, loc):
    result = api.send("POST", "/conversations/log", {**CALL, **changes}, expect=422)
    assert (type, ("body", *loc)) in issues(result)
    assert not Conversation.objects.exists()
    assert not ConversationWords.objects.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alias", "x" * 256),
        ("cost", "much"),
        ("cost", -1),
        ("input_cost", 1e300),
        ("input_tokens", -1),
        ("output_tokens", 10**20),
        ("profile", 5),
    ],
)
def test_bad_numbers_of_a_call_store_nothing(api, name, value):
    body = {**CALL, "metadata": {**CALL["metadata"], name: value}}
    result = api.send("POST", "/conversations/log", body, expect=422)
    assert result["detail"][0]["loc"] == ["body", "metadata", name]
    assert not Conversation.objects.exists()


def test_missing_parts_of_a_call_are_all_reported(api):
    result = api.send("POST", "/conversations/log", {}, expect=422)
    missing = [("missing", ("body", name)) for name in ("messages", "response", "metadata")]
    assert issues(result) == missing


@pytest.mark.parametrize(
    ("path", "query", "loc"),
    [
        ("", {"limit": 0}, "limit"),
        ("", {"limit": 101}, "limit"),
        ("", {"limit": "x"}, "limit"),
        ("", {"offset": -1}, "offset"),
        ("", {"offset": 10**30}, "offset"),
        ("", {"q": "a\x00"}, "q"),
        ("/{id}", {"message_limit": 1001}, "message_limit"),
        ("/{id}", {"include_messages": "maybe"}, "include_messages"),
        ("/{id}/messages", {"limit": 1001}, "limit"),
    ],
)
def test_bad_query_is_refused(api, path, query, loc):
    id = api.send("POST", "/conversations", {})["id"]
    result = api.read(f"/conversations{path.format(id=id)}", query, expect=422)
    assert result["detail"][0]["loc"] == ["query", loc]


def test_unknown_level_is_refused(api):
    """The older server answered 500 (B55)."""
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    body = {"messages": [MESSAGE], "logging_level": "some"}
    assert issues(api.send("POST", f"{path}/batch", body, expect=422)) == [
        ("literal_error", ("body", "logging_level"))
    ]


def test_too_many_messages_are_refused(api):
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages/batch"
    result = api.send("POST", path, {"messages": [{"role": "user"}] * 10_001}, expect=422)
    assert issues(result) == [("too_long", ("body", "messages"))]
