"""Random changes of conversations; then counters, search and export must fit the messages."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from conversations.models import Conversation
from tests.conversations.test_transfer import exported

WORDS = [
    "café",
    "ｆｕｌｌ",
    "Straße",
    "поиск",
    "検索",
    "plain_text",
    "ﬁne",
    "x" * 70,
    "Zwei",
    "drei",
]
FOLDED = {"ｆｕｌｌ": "full", "Straße": "STRASSE", "ﬁne": "FINE"}
NO_LEVEL = ["full", "full", "metadata", "none"]
STEPS = 40


class Client:
    """Changes conversations at random, and notes nothing but their ids."""

    def __init__(self, api, seed: int) -> None:
        self.api, self.random, self.serial = api, Random(seed), 0
        self.ids: list[str] = []
        self.words = [*WORDS, "vier", "notaword", "conversation"]
        variables = {"word": "café", "cost": 1}
        messages = [
            self.message(),
            {"role": "assistant", "content": "{{word}}", "vendor": {"a": 1}},
        ]
        body = {"name": "vier {{word}}", "messages": messages, "variables": variables}
        self.template = api.send("POST", "/api/v1/templates", body)["id"]
        self.create()

    def text(self) -> str:
        """Some words, and one that no other text has."""
        self.words.append(f"word{len(self.words)}")
        return " ".join([*self.random.choices(WORDS, k=2), self.words[-1]])

    def message(self, **members) -> dict:
        chance = self.random.random
        text = self.text()
        parts = [{"type": "text", "text": text}, {"type": "image", "data": "notaword"}]
        message = {"role": "user", "content": text if chance() < 0.7 else parts, **members}
        if chance() < 0.5:
            message["metadata"] = {"cost": self.random.choice([0.1, "0.000000000001", 0, 3])}
        if chance() < 0.5:
            message |= {"input_tokens": self.random.randrange(9), "output_tokens": 2}
        if chance() < 0.3:
            self.serial += 1
            message["message_id"] = f"m{self.serial}"
        if chance() < 0.2:
            message["vendor"] = [{"kept": True}]
        return message

    def some(self) -> str:
        return self.random.choice(self.ids)

    def level(self) -> dict:
        return {"logging_level": self.random.choice(NO_LEVEL)}

    def messages_of(self, id: str) -> list[dict]:
        return self.api.read(f"/conversations/{id}/messages?limit=1000")

    def post(self, path: str, body) -> dict | list:
        """Send, sometimes twice with one key: the second is to change nothing."""
        if self.random.random() < 0.6:
            return self.api.send("POST", path, body)
        self.serial += 1
        key = {"HTTP_IDEMPOTENCY_KEY": f"k{self.serial}"}
        first = self.api.send("POST", path, body, **key)
        assert self.api.send("POST", path, body, **key) == first
        return first

    def create(self) -> None:
        self.ids.append(self.post("/conversations", {"title": self.text()})["id"])

    def create_from_template(self) -> None:
        values = {"word": self.text()}
        body = {"template_id": self.template, "values": values}
        self.ids.append(self.post("/conversations", body)["id"])

    def append(self) -> None:
        self.post(f"/conversations/{self.some()}/messages", self.message(**self.level()))

    def append_branch(self) -> None:
        id = self.some()
        if stored := self.messages_of(id):
            parent = self.random.choice(stored)["id"]
            self.post(f"/conversations/{id}/messages", self.message(parent_id=parent))

    def append_batch(self) -> None:
        messages = [self.message() for _ in range(self.random.randrange(4))]
        path = f"/conversations/{self.some()}/messages/batch"
        self.post(path, {"messages": messages, **self.level()})

    def repeat(self) -> None:
        """Send stored messages again, as they came back: those with an id are not stored twice."""
        id = self.some()
        batch = [one for one in self.messages_of(id) if one["message_id"] and one["content"]]
        before = len(self.messages_of(id))
        reply = self.post(f"/conversations/{id}/messages/batch", batch)
        assert [one["id"] for one in reply] == [one["id"] for one in batch]
        assert len(self.messages_of(id)) == before

    def copy(self) -> None:
        source, target = self.some(), self.some()
        batch = [{**one, "message_id": None} for one in self.messages_of(source)[-5:]]
        if source != target:  # in its own conversation, a parent that expired is unknown
            self.post(f"/conversations/{target}/messages/batch", batch)

    def log(self) -> None:
        id = self.random.choice([*self.ids, "new"])
        numbers = {"provider": "p", "model": "m", "cost": 0.25, "conversation_id": id}
        messages = [self.message() for _ in range(2)]
        body = {"messages": messages, "response": {"content": self.text()}, "metadata": numbers}
        reply = self.post("/conversations/log", body | self.level())
        if reply["conversation_id"] not in ("", *self.ids):
            self.ids.append(reply["conversation_id"])

    def log_history(self) -> None:
        id = self.some()
        history = [
            {name: one[name] for name in ("role", "content", "message_id")}
            for one in self.messages_of(id)
            if one["content"]  # which the client of a hidden message would have
        ]
        numbers = {"provider": "p", "model": "m", "cost": 0.25, "conversation_id": id}
        body = {"messages": history, "response": {"content": self.text()}, "metadata": numbers}
        self.post("/conversations/log", body)

    def retitle(self) -> None:
        title = self.random.choice([self.text(), None])
        self.api.send("PATCH", f"/conversations/{self.some()}", {"title": title})

    def delete(self) -> None:
        if len(self.ids) > 1:
            id = self.some()
            self.ids.remove(id)
            self.api.send("DELETE", f"/conversations/{id}")
            self.api.read(f"/conversations/{id}/messages", expect=404)

    def move(self) -> None:
        """Export a conversation, delete it and import it again, with some messages now old."""
        id = self.some()
        entry = json.loads(exported(self.api, f"/conversations/{id}/export"))
        for one in entry["messages"]:
            if self.random.random() < 0.3:
                days = self.random.choice([20, 40])
                one["timestamp"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        self.api.send("DELETE", f"/conversations/{id}")
        reply = self.post("/conversations/import", json.dumps(entry))
        assert reply == {"imported": 1, "skipped": 0, "messages": len(entry["messages"])}

    def expire(self) -> None:
        days = self.random.choice([0, 10, 30])
        before = self.count()
        reply = self.api.send("DELETE", f"/conversations/old-messages?retention_days={days}")
        deleted = before - self.count()
        assert reply == {"deleted_count": deleted, "retention_days": days or 30}

    def count(self) -> int:
        """How many messages there are."""
        return sum(len(self.messages_of(id)) for id in self.ids)

    def step(self) -> None:
        steps = [
            self.create,
            self.create_from_template,
            self.append,
            self.append_branch,
            self.append_batch,
            self.repeat,
            self.copy,
            self.log,
            self.log_history,
            self.retitle,
            self.delete,
            self.move,
            self.expire,
        ]
        self.random.choice(steps)()


def texts_of(conversation: dict) -> str:
    """The title and all texts of a conversation, as they are searched."""
    texts = [conversation["title"] or ""]
    for message in conversation["messages"]:
        content = message["content"]
        texts += [part.get("text", "") for part in content] if isinstance(content, list) else []
        texts += [content] if isinstance(content, str) else []
    return " ".join(texts)


def assert_counters(conversation: dict) -> None:
    messages = conversation["messages"]
    cost = sum(Decimal(str(one["metadata"].get("cost") or 0)) for one in messages)
    assert conversation["message_count"] == len(messages)
    for name in ("input_tokens", "output_tokens"):
        assert conversation[f"total_{name}"] == sum(one[name] or 0 for one in messages)
    assert Conversation.objects.get(id=conversation["id"]).total_cost == cost


def assert_tree(messages: list[dict]) -> None:
    """Parents precede, unless they have expired."""
    positions = {one["id"]: number for number, one in enumerate(messages)}
    for number, one in enumerate(messages):
        assert positions.get(one["parent_id"], -1) < number
    ids = [one["message_id"] for one in messages if one["message_id"]]
    assert len(ids) == len(set(ids))


def assert_search(api, conversations: list[dict], words: list[str]) -> None:
    texts = {one["id"]: texts_of(one).casefold().split() for one in conversations}
    for word in words:
        query = {"q": FOLDED.get(word, word.upper()), "limit": 100}
        found = {row["id"] for row in api.read("/conversations", query)}
        assert found == {id for id, text in texts.items() if word.casefold() in text}, word


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_counters_search_and_export_fit_the_messages(api, seed):
    client = Client(api, seed)
    for _ in range(STEPS):
        client.step()

    listed = api.read("/conversations?limit=100")
    assert {row["id"] for row in listed} == set(client.ids)
    opened = [api.read(f"/conversations/{id}?message_limit=1000") for id in sorted(client.ids)]
    for conversation in opened:
        assert_counters(conversation)
        assert_tree(conversation["messages"])
        assert client.messages_of(conversation["id"]) == conversation["messages"]
    assert_search(api, opened, client.words)
    assert [json.loads(line) for line in exported(api).splitlines()] == opened
