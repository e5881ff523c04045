"""`Idempotency-Key` on every POST that stores, and `message_id`: repeated, stored once."""

import pytest

from conversations.models import Conversation, Message
from core.models import IdempotentRequest
from templates_app.models import ConversationTemplate
from tests.client import ApiClient
from tests.conversations.test_calls import CALL
from tests.conversations.test_transfer import exported, line
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

KEY = {"HTTP_IDEMPOTENCY_KEY": "order-7"}
MESSAGE = {"role": "user", "content": "hello", "metadata": {"cost": 1}}
TEMPLATES = "/api/v1/templates"


@pytest.fixture
def path(api):
    return f"/conversations/{api.send('POST', '/conversations', {})['id']}"


@pytest.fixture
def template(api):
    return api.send("POST", TEMPLATES, {"name": "t", "messages": [MESSAGE]})["id"]


def counts() -> tuple:
    uses = sum(ConversationTemplate.objects.values_list("usage_count", flat=True))
    return (
        Conversation.objects.count(),
        Message.objects.count(),
        ConversationTemplate.objects.count(),
        uses,
    )


REQUESTS = {
    "conversation": ("/conversations", {"title": "t"}, {"title": "u"}),
    "from template": ("/conversations", {"template_id": "<template>"}, {}),
    "message": ("<path>/messages", MESSAGE, {**MESSAGE, "content": "x"}),
    "batch": ("<path>/messages/batch", [MESSAGE, MESSAGE], [MESSAGE]),
    "call": ("/conversations/log", CALL, {**CALL, "messages": []}),
    "template": (TEMPLATES, {"name": "a"}, {"name": "b"}),
    "use": (f"{TEMPLATES}/<template>/use", {"values": {}}, {}),
}


@pytest.fixture(params=REQUESTS.values(), ids=REQUESTS.keys())
def request_(request, path, template):
    where, body, other = request.param

    def filled(value):
        return template if value == "<template>" else value

    if isinstance(body, dict):
        body = {name: filled(value) for name, value in body.items()}
    return where.replace("<path>", path).replace("<template>", template), body, other


def test_repeated_request_gets_the_first_answer(api, request_):
    where, body, other = request_
    first = api.send("POST", where, body, **KEY)
    stored = counts()
    assert api.send("POST", f"{where}/", body, **KEY) == first
    reordered = dict(reversed(body.items())) if isinstance(body, dict) else body
    assert api.send("POST", where, reordered, **KEY) == first
    assert counts() == stored
    reply = api.send("POST", where, other, expect=409, **KEY)
    assert reply == {"detail": "Idempotency-Key was used before for a different request"}
    assert counts() == stored
    assert api.send("POST", where, body, HTTP_IDEMPOTENCY_KEY="order-8") != first
    assert counts() != stored


def test_order_of_members_makes_no_other_request(api):
    """At any depth, and beside numbers that take all of JSON's digits."""
    big, exact = '"big": 123456789012345678901234567890', '"exact": 0.12345678901234567890'
    bodies = [
        f'{{"role": "user", "metadata": {{{big}, {exact}}}, "content": "\u00e9"}}',
        f'{{"content": "\\u00e9", "metadata": {{{exact},{big}}}, "role": "user"}}',
    ]
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    first, second = (api.send("POST", path, body.encode(), **KEY) for body in bodies)
    assert second == first
    other = bodies[0].replace("67890}", "67892}").encode()
    assert api.send("POST", path, other, expect=409, **KEY)


@pytest.mark.parametrize("public_path", [None, "/llmring"])
def test_both_prefixes_are_one_route(api, settings, public_path):
    settings.FORCE_SCRIPT_NAME = public_path
    first = api.send("POST", "/conversations", {}, **KEY)
    assert api.send("POST", "/api/v1/conversations/", {}, **KEY) == first


def test_keys_of_projects_and_routes_do_not_meet(api, other_api, path):
    first = api.send("POST", "/conversations", {}, **KEY)
    assert other_api.send("POST", "/conversations", {}, **KEY) != first
    assert api.send("POST", f"{path}/messages", MESSAGE, **KEY)["role"] == "user"


def test_refused_request_leaves_the_key_free(api, path):
    api.send("POST", f"{path}/messages", {"role": "robot"}, expect=422, **KEY)
    api.send("POST", f"{path}/messages", b"\xff", expect=400, **KEY)
    unknown = "/conversations/59d80ca7-0000-4000-8000-000000000000/messages"
    api.send("POST", unknown, MESSAGE, expect=404, **KEY)
    assert not IdempotentRequest.objects.exists()
    assert api.send("POST", f"{path}/messages", MESSAGE, **KEY)["content"] == "hello"


@pytest.mark.parametrize("key", ["", "  "])
def test_blank_key_is_none(api, path, key):
    for _ in range(2):
        api.send("POST", f"{path}/messages", MESSAGE, HTTP_IDEMPOTENCY_KEY=key)
    assert Message.objects.count() == 2


def test_overlong_key_is_refused(api, path):
    long = {"HTTP_IDEMPOTENCY_KEY": "k" * 256}
    reply = api.send("POST", f"{path}/messages", MESSAGE, expect=422, **long)
    assert reply["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_import_is_repeatable_after_its_conversations_are_gone(api):
    first = api.send("POST", "/conversations/import", line(title="a"), **KEY)
    Conversation.objects.all().delete()
    assert api.send("POST", "/conversations/import", line(title="a"), **KEY) == first
    assert not Conversation.objects.exists()


def test_requests_of_one_key_at_once_are_carried_out_once(api, path):
    def send():
        return ApiClient(api.key).send("POST", f"{path}/messages", MESSAGE, **KEY)["id"]

    assert len(set(at_once(*[send] * 4))) == 1
    assert (Message.objects.count(), Conversation.objects.get().total_cost) == (1, 1)


def test_stored_reply_is_deleted_with_its_conversation(api, path):
    api.send("POST", f"{path}/messages", MESSAGE, **KEY)
    begun = api.send("POST", "/conversations/log", CALL, HTTP_IDEMPOTENCY_KEY="b")
    api.send("DELETE", path)
    api.send("DELETE", f"/conversations/{begun['conversation_id']}")
    assert not IdempotentRequest.objects.exists()


def test_stored_replies_expire_with_messages(api, path):
    from datetime import timedelta

    api.send("POST", f"{path}/messages", MESSAGE, **KEY)
    for old in IdempotentRequest.objects.all():
        old.created_at -= timedelta(days=40)
        old.save()
    api.send("DELETE", "/conversations/old-messages")
    assert not IdempotentRequest.objects.exists()


class TestMessageIds:
    SENT = {**MESSAGE, "message_id": "m1"}

    @pytest.mark.parametrize("again", ["/messages", "/messages/batch"])
    def test_message_of_a_known_id_is_stored_once(self, api, path, again):
        first = api.send("POST", f"{path}/messages", self.SENT)
        assert first["message_id"] == "m1"
        body = self.SENT if again == "/messages" else [self.SENT]
        reply = api.send("POST", f"{path}{again}", body)
        assert (reply if again == "/messages" else reply[0]) == first
        assert api.read(path)["total_cost"] == 1

    # A number longer than a double, in the message or beside it, and how others are written.
    LONG = "1732700000.123456789"

    @pytest.mark.parametrize(
        "members",
        [
            '"metadata": {"at": LONG}, "score": 0.1',
            '"metadata": {"at": LONG}, "content": [{"x": 12.0, "y": 1e2}]',
            '"content": [{"x": 12.0, "y": 1e2, "z": LONG}]',
            '"content": null, "tool_calls": [{"input": {"x": 12.0, "y": 1e22, "z": LONG}}]',
            '"content": [{"x": 1e22, "y": -0.0, "z": 1E-7}], "score": 1e22',
            '"content": [{"x": 9007199254740992.0, "y": 18446744073709551616}]',
        ],
    )
    def test_message_is_known_however_its_numbers_are_written(self, api, path, members):
        body = f'{{"role": "user", "message_id": "m1", {members.replace("LONG", self.LONG)}}}'
        first = api.send("POST", f"{path}/messages", body)
        assert api.send("POST", f"{path}/messages", body)["id"] == first["id"]
        text = api.get(f"{path}/messages").content.decode()
        again = api.send("POST", f"{path}/messages/batch", text)
        assert [message["id"] for message in again] == [first["id"]]
        assert again[0]["content_hash"] == first["content_hash"]

    def test_batch_stores_what_is_new_after_what_is_known(self, api, path):
        first = api.send("POST", f"{path}/messages", self.SENT)
        batch = [self.SENT, {**MESSAGE, "message_id": "m2"}, MESSAGE]
        known, second, third = api.send("POST", f"{path}/messages/batch", batch)
        assert known == first
        assert (second["parent_id"], third["parent_id"]) == (first["id"], second["id"])
        assert api.read(f"{path}/messages") == [first, second, third]

    def test_other_content_of_a_known_id_is_a_conflict(self, api, path):
        api.send("POST", f"{path}/messages", self.SENT)
        other = {**self.SENT, "content": "other"}
        reply = api.send("POST", f"{path}/messages", other, expect=409)
        assert "m1" in reply["detail"]
        api.send("POST", f"{path}/messages/batch", [MESSAGE, other], expect=409)
        assert Message.objects.count() == 1

    def test_two_of_one_id_in_a_request_are_refused(self, api, path):
        for where, body in (
            (f"{path}/messages/batch", [self.SENT, self.SENT]),
            ("/conversations/log", {**CALL, "messages": [self.SENT, self.SENT]}),
            (
                "/conversations/log",
                {**CALL, "messages": [self.SENT], "response": {"message_id": "m1"}},
            ),
            (TEMPLATES, {"name": "t", "messages": [self.SENT, self.SENT]}),
        ):
            issue = api.send("POST", where, body, expect=422)["detail"][0]
            assert (issue["type"], issue["loc"][-1]) == ("repeated_message_id", "message_id")
        assert not Message.objects.exists()

    @pytest.mark.parametrize("id", ["", "x" * 256, 5, "a\x00"])
    def test_bad_id_is_refused(self, api, path, id):
        api.send("POST", f"{path}/messages", {**MESSAGE, "message_id": id}, expect=422)

    def test_ids_of_conversations_do_not_meet(self, api, path):
        api.send("POST", f"{path}/messages", self.SENT)
        other = f"/conversations/{api.send('POST', '/conversations', {})['id']}"
        assert api.send("POST", f"{other}/messages", {**self.SENT, "content": "x"})

    def test_ids_are_exported_and_imported(self, api, other_api, path):
        api.send("POST", f"{path}/messages", self.SENT)
        other_api.send("POST", "/conversations/import", exported(api))
        assert Message.objects.filter(message_id="m1").count() == 2

    def test_four_at_once_are_stored_once(self, api, path):
        def send():
            return ApiClient(api.key).send("POST", f"{path}/messages", self.SENT)["id"]

        assert len(set(at_once(*[send] * 4))) == 1
        assert Conversation.objects.get().message_count == 1


class TestParents:
    def test_message_may_begin_a_branch(self, api, path):
        first, second = api.send("POST", f"{path}/messages/batch", [MESSAGE, MESSAGE])
        branch = api.send("POST", f"{path}/messages", {**MESSAGE, "parent_id": first["id"]})
        after = api.send("POST", f"{path}/messages", MESSAGE)
        parents = [message["parent_id"] for message in api.read(f"{path}/messages")]
        assert parents == [None, first["id"], first["id"], branch["id"]]
        assert second["parent_id"] == first["id"] and after["parent_id"] == branch["id"]

    def test_unknown_parent_is_refused(self, api, path, other_api):
        elsewhere = other_api.send("POST", "/conversations", {})["id"]
        [theirs] = other_api.send("POST", f"/conversations/{elsewhere}/messages/batch", [MESSAGE])
        for parent in (theirs["id"], "59d80ca7-0000-4000-8000-000000000000"):
            body = {**MESSAGE, "parent_id": parent}
            issue = api.send("POST", f"{path}/messages", body, expect=422)["detail"][0]
            assert (issue["type"], issue["loc"]) == ("unknown_parent", ["body", "parent_id"])
            issue = api.send("POST", f"{path}/messages/batch", [body], expect=422)["detail"][0]
            assert issue["loc"] == ["body", "messages", 0, "parent_id"]
        assert not Message.objects.filter(project_id=api.project.id).exists()

    def test_branches_are_imported_as_they_are(self, api, other_api, path):
        first, _ = api.send("POST", f"{path}/messages/batch", [MESSAGE, MESSAGE])
        api.send("POST", f"{path}/messages", {**MESSAGE, "parent_id": first["id"]})
        other_api.send("POST", "/conversations/import", exported(api))
        [row] = other_api.read("/conversations")
        messages = other_api.read(f"/conversations/{row['id']}")["messages"]
        ids = [message["id"] for message in messages]
        assert [message["parent_id"] for message in messages] == [None, ids[0], ids[0]]
