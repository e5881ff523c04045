"""What a request read and wrote is freed with it, not when the garbage collector comes."""

import gc
from contextlib import contextmanager

from core.chat_messages import ChatMessage

MESSAGES = [{"role": "user", "content": f"message {number}"} for number in range(50)]


@contextmanager
def without_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_messages_of_a_batch_do_not_outlive_their_request(api):
    conversation = api.send("POST", "/api/v1/conversations", {"title": "Short-lived"})["id"]
    path = f"/api/v1/conversations/{conversation}/messages/batch"

    with without_collector():
        reply = api.send("POST", path, MESSAGES)
        left = sum(type(each) is ChatMessage for each in gc.get_objects())

    assert len(reply) == 50
    assert left == 0
    assert api.read(f"/api/v1/conversations/{conversation}")["message_count"] == 50
