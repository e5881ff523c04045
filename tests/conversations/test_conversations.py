"""Creating, listing, opening, changing and deleting conversations (contract, section 7)."""

from uuid import UUID

import pytest

from conversations.models import Conversation, ConversationWords, Message

PATHS = ["/conversations", "/conversations/", "/api/v1/conversations", "/api/v1/conversations/"]
DEFAULTS = {
    "title": None,
    "system_prompt": None,
    "model_alias": "default",
    "temperature": 0.7,
    "max_tokens": None,
    "project_id": None,
    "origin": None,
    "profile": None,
    "template_id": None,
    "message_count": 0,
    "total_input_tokens": 0,
    "total_output_tokens": 0,
    "total_cost": 0,
    "last_message_at": None,
}
HELLO = {"role": "user", "content": "hello"}


@pytest.mark.parametrize("path", PATHS)
def test_created_conversation_is_opened_and_listed_as_it_was_answered(api, path):
    made = api.send("POST", path, {})
    times = {"created_at": made["created_at"], "updated_at": made["created_at"]}
    assert made == {
        **DEFAULTS,
        "id": str(UUID(made["id"])),
        "api_key_id": str(api.api_key_id),
        **times,
    }
    assert made["created_at"].endswith("Z")
    assert api.read(f"{path.rstrip('/')}/{made['id']}") == {**made, "messages": []}
    assert api.read(path) == [made]


def test_every_member_is_kept(api):
    stated = {
        "title": "",
        "system_prompt": "Be brief.",
        "model_alias": "deep",
        "temperature": 2,
        "max_tokens": 1,
        "project_id": "default-user",
        "origin": "app",
        "profile": "dev",
    }
    made = api.send("POST", "/conversations", {**stated, "api_key_id": "mine", "unknown": 1})
    assert {name: made[name] for name in stated} == stated
    assert made["api_key_id"] == str(api.api_key_id)


def test_what_only_the_client_sends_is_taken(api):
    """Contract 7.4, rule for tolerance: null alias, free-text project."""
    sent = {"title": "t", "system_prompt": None, "model_alias": None, "project_id": "user 7"}
    made = api.send("POST", "/api/v1/conversations", sent)
    assert (made["model_alias"], made["project_id"]) == ("default", "user 7")


def test_list_is_ordered_by_last_change_and_paged(api):
    ids = [api.send("POST", "/conversations", {})["id"] for _ in range(3)]
    api.send("POST", f"/conversations/{ids[0]}/messages", HELLO)
    listed = [row["id"] for row in api.read("/conversations", {"limit": "", "offset": ""})]
    assert listed == [ids[0], ids[2], ids[1]]
    page = api.read("/conversations", {"limit": 1, "offset": 1})
    assert [row["id"] for row in page] == [ids[2]]


def test_list_is_narrowed_by_labels(api):
    for label in ("a", "b"):
        api.send("POST", "/conversations", {"project_id": label, "origin": f"o-{label}"})
    assert [row["project_id"] for row in api.read("/conversations?project_id=a")] == ["a"]
    assert [row["project_id"] for row in api.read("/conversations?origin=o-b")] == ["b"]
    assert api.read("/conversations?model_alias=other") == []


def test_patch_changes_what_is_given_and_null_clears(api):
    made = api.send("POST", "/conversations", {"title": "a", "system_prompt": "s", "max_tokens": 5})
    path = f"/conversations/{made['id']}"
    assert api.send("PATCH", path, {}) == made
    changes = {"title": None, "max_tokens": None, "model_alias": None, "temperature": None}
    changed = api.send("PATCH", path, {**changes, "system_prompt": ""})
    assert changed["updated_at"] > made["updated_at"]
    expected = {"title": None, "max_tokens": None, "system_prompt": ""}
    assert changed == {**made, **expected, "updated_at": changed["updated_at"]}
    changed = api.send("PATCH", path, {"model_alias": "fast", "temperature": 0})
    assert (changed["model_alias"], changed["temperature"]) == ("fast", 0)


def test_deleted_conversation_is_gone_with_all_it_held(api):
    made = api.send("POST", "/conversations", {"title": "gone"})
    path = f"/conversations/{made['id']}"
    api.send("POST", f"{path}/messages", HELLO)
    assert api.send("DELETE", path) == {"message": "Conversation deleted successfully"}
    assert api.read(path, expect=404) == {"detail": "Conversation not found"}
    assert api.send("DELETE", path, expect=404) == {"detail": "Conversation not found"}
    assert not any(model.objects.exists() for model in (Conversation, Message, ConversationWords))


ROUTES = [
    ("GET", "", None),
    ("PATCH", "", {"title": "x"}),
    ("DELETE", "", None),
    ("GET", "/messages", None),
    ("GET", "/export", None),
    ("POST", "/messages", HELLO),
    ("POST", "/messages/batch", {"messages": [HELLO]}),
    ("POST", "/messages/batch", {"messages": []}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_strangers_conversation_is_not_found(api, other_api, anonymous, method, path, body):
    made = api.send("POST", "/conversations", {})
    whole = f"/api/v1/conversations/{made['id']}{path}"
    result = other_api.send(method, whole, body, expect=404)
    assert result == {"detail": "Conversation not found"}
    anonymous.send(method, whole, body, expect=401)
    assert other_api.read("/conversations") == []
    assert api.read("/conversations") == [made]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_bad_id_is_refused(api, method, path, body):
    result = api.send(method, f"/conversations/nonsense{path}", body, expect=422)
    assert result["detail"][0]["type"] == "uuid_parsing"
    assert result["detail"][0]["loc"] == ["path", "conversation_id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/conversations"), ("PUT", "/conversations/x"), ("GET", "/conversations/log")],
)
def test_unsupported_methods_are_refused(api, method, path):
    assert api.send(method, path, {}, expect=405) == {"detail": "Method Not Allowed"}


def test_switched_off_tracking_refuses_new_ones_and_lists_none(api, settings):
    made = api.send("POST", "/conversations", {})
    settings.CONVERSATION_TRACKING = False
    refused = {"detail": "Conversation tracking is disabled"}
    assert api.send("POST", "/conversations", {}, expect=400) == refused
    assert api.send("POST", "/conversations/import", "{}", expect=400) == refused
    assert api.read("/conversations") == []
    assert api.read(f"/conversations/{made['id']}")["id"] == made["id"]
