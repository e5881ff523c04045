"""Usage rows know the conversation that the client names, if it is the caller's (B34)."""

import pytest

from tests.usage.calls import CALL


@pytest.fixture
def id(api):
    return api.send("POST", "/conversations", {})["id"]


def logged(client, **members):
    client.send("POST", "/api/v1/log", {**CALL, **members})
    return client.read("/api/v1/logs")[0]["conversation_id"]


def test_conversation_named_by_the_client_is_linked(api, id):
    assert logged(api, metadata={"conversation_id": id}) == id
    assert logged(api, id_at_origin=id) == id
    assert logged(api, id_at_origin=id, metadata={"conversation_id": 5}) == id


def test_batches_are_linked_too(api, id):
    items = [{**CALL, "id_at_origin": id}, CALL]
    api.send("POST", "/api/v1/log/batch", {"logs": items})
    linked = [row["conversation_id"] for row in api.read("/api/v1/logs")]
    assert sorted(linked, key=str) == sorted([None, id], key=str)


@pytest.mark.parametrize("name", ["", "x" * 36, "59d80ca7-0000-4000-8000-000000000000"])
def test_unknown_conversation_is_not_linked(api, name):
    assert logged(api, id_at_origin=name, metadata={"conversation_id": name}) is None


def test_strangers_conversation_is_not_linked(other_api, id):
    assert logged(other_api, metadata={"conversation_id": id}) is None
