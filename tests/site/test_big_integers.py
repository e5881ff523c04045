"""Stored objects may hold integers of any size."""

import json

from tests.usage.calls import BOTH_WAYS, CALL

BIG = "1" + "0" * 30


@BOTH_WAYS
def test_integers_of_any_size_are_stored(api):
    """In free objects; where counts are meant, the limits hold."""

    def send(path, body):
        return api.send("POST", path, json.dumps(body).replace('"BIG"', BIG))

    api.send("POST", "/api/v1/log", CALL)
    free = {"a": "BIG"}
    send("/api/v1/log", {**CALL, "metadata": free})
    assert send("/api/v1/log/batch", {"logs": [{**CALL, "metadata": free}]})["created"] == 1
    id = send("/api/v1/conversations", {})["id"]
    message = {"role": "user", "content": [free], "metadata": free, "tool_calls": [free]}
    send(f"/api/v1/conversations/{id}/messages", message)
    send(f"/api/v1/conversations/{id}/messages/batch", {"messages": [message]})
    send(
        f"/api/v1/conversations/{id}/messages/batch",
        {"messages": [message], "logging_level": "metadata"},
    )
    meta = {"provider": "p", "model": "m"}
    send(
        "/api/v1/conversations/log",
        {"messages": [message], "response": {"content": [free], "usage": free}, "metadata": meta},
    )
    send("/api/v1/aliases/bind", {"alias": "a", "model": "m", "metadata": free})
    send("/api/v1/templates", {"name": "t", "tool_config": free})
    for path in ("/api/v1/logs", f"/conversations/{id}", "/api/v1/aliases", "/api/v1/templates"):
        assert api.get(path).status_code == 200
