"""What is measured. A new case is one more entry in CASES."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import payloads
from bench.request import READER_KEY, Request, get, post
from bench.side import Side

USAGE_ROWS = 100_000


@dataclass(frozen=True)
class Case:
    """One request, repeated. `prepare` returns it, after storing what it reads.

    `holds` checks, before the load, that an answer is what the case is about.

    A case that writes names the table in which each answered request stores `rows` rows; if that
    is more than one, its throughput is in rows per second.
    """

    name: str
    title: str
    concurrency: tuple[int, ...]
    prepare: Callable[[Side], Request]
    holds: Callable[[Any], bool] = bool
    table: str | None = None
    rows: int = 1
    # Requests in flight when a sample ends are not counted. That would be unfair to a server that
    # takes a second for each, so cases where one does have longer samples.
    least_seconds: int = 1

    @property
    def unit(self) -> str:
        return "rows/s" if self.rows > 1 else "req/s"


def always(request: Request) -> Callable[[Side], Request]:
    """Return a `prepare` that returns this request and stores nothing."""
    return lambda side: request


def reading_usage(path: str) -> Callable[[Side], Request]:
    """Return a `prepare` of a read of USAGE_ROWS rows, which it stores if they are missing."""

    def prepare(side: Side) -> Request:
        stats = get("/api/v1/stats", api_key=READER_KEY)
        if side.call(stats)["summary"]["total_requests"] == 0:
            side.store(side, payloads.usage_rows(USAGE_ROWS))
            side.postgres.analyze()
        return get(path, api_key=READER_KEY)

    return prepare


def new_conversation(side: Side) -> str:
    return side.call(post("/api/v1/conversations/", payloads.CONVERSATION))["id"]


def message_batch(conversation: str, count: int) -> Request:
    content = {"conversation_id": conversation, "messages": payloads.messages(count)}
    return post(f"/api/v1/conversations/{conversation}/messages/batch", content)


def reading_conversation(side: Side) -> Request:
    conversation = new_conversation(side)
    side.call(message_batch(conversation, 100))
    return get(f"/api/v1/conversations/{conversation}")


def verifying(side: Side) -> Request:
    receipt = side.call(post("/api/v1/receipts/issue", payloads.UNSIGNED_RECEIPT))
    return post("/api/v1/receipts/verify", receipt)


def reading_templates(side: Side) -> Request:
    for _ in range(50):
        side.call(post("/api/v1/templates/", payloads.TEMPLATE, api_key=READER_KEY))
    return get("/api/v1/templates/?limit=50", api_key=READER_KEY)


CASES = (
    Case(
        name="log",
        title="POST log, with cost",
        concurrency=(1, 16, 64),
        prepare=always(post("/api/v1/log", payloads.COSTED_LOG)),
        table="llmring.usage_logs",
    ),
    Case(
        name="log-uncosted",
        title="POST log, without cost",
        concurrency=(16, 64),
        prepare=always(post("/api/v1/log", payloads.UNCOSTED_LOG)),
        holds=lambda answer: answer["cost"] > 0,
        least_seconds=8,
        table="llmring.usage_logs",
    ),
    Case(
        name="log-batch",
        title="POST log/batch of 1000",
        concurrency=(1, 4),
        prepare=always(post("/api/v1/log/batch", {"logs": [payloads.COSTED_LOG] * 1000})),
        table="llmring.usage_logs",
        rows=1000,
    ),
    Case(
        name="registry",
        title="GET registry.json",
        concurrency=(1, 16),
        prepare=always(get("/registry.json")),
        holds=lambda answer: len(answer["models"]) > 50,
    ),
    Case(
        name="stats",
        title="GET stats, 100 k rows",
        concurrency=(1, 8),
        prepare=reading_usage("/api/v1/stats"),
        holds=lambda answer: answer["summary"]["total_requests"] == USAGE_ROWS,
        least_seconds=8,
    ),
    Case(
        name="logs",
        title="GET logs, 100 of 100 k",
        concurrency=(1, 16),
        prepare=reading_usage("/api/v1/logs?limit=100"),
        holds=lambda answer: len(answer) == 100,
    ),
    Case(
        name="conversation-new",
        title="POST conversations",
        concurrency=(1, 16),
        prepare=always(post("/api/v1/conversations/", payloads.CONVERSATION)),
        table="llmring.conversations",
    ),
    Case(
        name="conversation-log",
        title="POST conversations/log",
        concurrency=(1, 16),
        prepare=always(post("/api/v1/conversations/log", payloads.CONVERSATION_CALL)),
        table="llmring.conversations",
    ),
    Case(
        name="conversation-get",
        title="GET conversation, 100 messages",
        concurrency=(1, 16),
        prepare=reading_conversation,
        holds=lambda answer: len(answer["messages"]) == 100,
    ),
    Case(
        name="messages-batch",
        title="POST messages/batch of 100",
        concurrency=(1, 4),
        prepare=lambda side: message_batch(new_conversation(side), 100),
        table="llmring.messages",
        rows=100,
    ),
    Case(
        name="message",
        title="POST messages",
        concurrency=(1, 16),
        prepare=lambda side: post(
            f"/api/v1/conversations/{new_conversation(side)}/messages",
            payloads.messages(1)[0],
        ),
        table="llmring.messages",
    ),
    Case(
        name="receipt-issue",
        title="POST receipts/issue",
        concurrency=(1, 16),
        prepare=always(post("/api/v1/receipts/issue", payloads.UNSIGNED_RECEIPT)),
    ),
    Case(
        name="receipt-verify",
        title="POST receipts/verify",
        concurrency=(1, 16),
        prepare=verifying,
        holds=lambda answer: answer["valid"],
    ),
    Case(
        name="template-new",
        title="POST templates",
        concurrency=(1, 16),
        prepare=always(post("/api/v1/templates/", payloads.TEMPLATE)),
        table="llmring.conversation_templates",
    ),
    Case(
        name="templates",
        title="GET templates, 50",
        concurrency=(1, 16),
        prepare=reading_templates,
        holds=lambda answer: len(answer) == 50,
    ),
)
