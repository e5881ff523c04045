"""Many writers of one conversation: counts exact, order stable, nothing half done."""

from decimal import Decimal
from functools import partial

import pytest

from conversations.models import Conversation, Message
from tests.client import ApiClient
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 16


def together(work) -> list:
    """What work(number) returns in as many threads as there are writers."""
    return at_once(*(partial(work, number) for number in range(WRITERS)))


@pytest.fixture
def id(api):
    return api.send("POST", "/conversations", {})["id"]


@pytest.mark.slow
def test_sixteen_writers_lose_nothing_and_keep_an_order(api, id):
    def write(number):
        client = ApiClient(api.key)
        for turn in range(5):
            batch = [
                {
                    "role": "user",
                    "content": f"{number}.{turn}.{part}",
                    "input_tokens": 2,
                    "output_tokens": 3,
                    "metadata": {"cost": 0.000000000001},
                }
                for part in range(3)
            ]
            client.send("POST", f"/conversations/{id}/messages/batch", batch)
            client.send("POST", f"/conversations/{id}/messages", batch[0])

    together(write)
    conversation = Conversation.objects.get()
    count = WRITERS * 5 * 4
    assert (conversation.message_count, conversation.last_position) == (count, count)
    assert conversation.total_input_tokens == 2 * count
    assert conversation.total_output_tokens == 3 * count
    assert conversation.total_cost == Decimal("0.000000000001") * count
    positions = Message.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(1, count + 1))
    messages = api.read(f"/conversations/{id}/messages?limit=1000")
    ids = [message["id"] for message in messages]
    assert [message["parent_id"] for message in messages] == [None, *ids[:-1]]
    texts = [message["content"] for message in messages]
    for number in range(WRITERS):
        # Each writer's own messages stand in the order in which it was answered.
        own = [text for text in texts if text.startswith(f"{number}.")]
        expected = [[f"{number}.{turn}.{part}" for part in (0, 1, 2, 0)] for turn in range(5)]
        assert own == sum(expected, [])


def test_appends_beside_a_deletion_leave_no_orphans(api, id):
    def work(number):
        client = ApiClient(api.key)
        if number == 7:
            return client.delete(f"/conversations/{id}").status_code
        body = [{"role": "user", "content": "x"}]
        path = f"/conversations/{id}/messages/batch"
        return client.post(path, body, content_type="application/json").status_code

    statuses = together(work)
    assert set(statuses) <= {200, 404}
    assert not Message.objects.exists()
    assert not Conversation.objects.exists()


def test_appends_beside_pruning_keep_the_counters_exact(api, id):
    from datetime import UTC, datetime, timedelta

    from conversations import retention

    def work(number):
        if number % 4 == 0:
            # As if a month had passed: whatever is stored so far is old.
            return sum(retention.prune(30, now=datetime.now(UTC) + timedelta(days=30)))
        client = ApiClient(api.key)
        body = [{"role": "user", "content": "x", "input_tokens": 1, "output_tokens": 0}] * 3
        client.send("POST", f"/conversations/{id}/messages/batch", body)
        return 0

    pruned = sum(together(work))
    left = Message.objects.count()
    assert pruned + left == 12 * 3
    conversation = Conversation.objects.get()
    assert (conversation.message_count, conversation.total_input_tokens) == (left, left)
