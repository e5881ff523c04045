"""Invented conversations for the demo project."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from django.db import connection

from conversations import privacy, storage
from core import ids
from core.chat_messages import ChatMessage
from core.scoping import Caller

COUNT = 24
_DAYS = 28  # younger than the retention of messages by default
_TOPICS: Sequence[tuple[str, str, str]] = (
    (
        "Refund for a damaged parcel",
        "My parcel arrived damaged. Can I get a refund?",
        "I am sorry about that. Yes: send a photo within **14 days**, and we refund the order.",
    ),
    (
        "Slow query on orders",
        "Why is `SELECT * FROM orders ORDER BY created_at` slow?",
        "It sorts the whole table. Add an index:\n\n```sql\n"
        "CREATE INDEX ON orders (created_at);\n```\n\nThen the rows are read in order.",
    ),
    (
        "Summary of the weekly report",
        "Summarize this week's report in three points.",
        "1. Revenue grew by 4 %.\n2. Support answered within two hours.\n3. One outage.",
    ),
    (
        "Opening hours on holidays",
        "Are you open on December 26?",
        "| day | hours |\n|---|---|\n| December 24 | 9–13 |\n| December 26 | closed |",
    ),
)


def make_conversations(caller: Caller, *, now: datetime, random: Random) -> list[UUID]:
    """Store COUNT conversations of the last four weeks; return their ids."""
    made = []
    with connection.cursor() as cursor:
        for n in range(COUNT):
            title, question, answer = _TOPICS[n % len(_TOPICS)]
            at = now - timedelta(days=_DAYS * (COUNT - n) / COUNT, seconds=random.randrange(3600))
            columns = {
                "id": ids.uuid7(at),
                "created_at": at,
                "title": f"Demo: {title}",
                "model_alias": "smart",
                "temperature": 0.7,
                "origin": "support-chat",
                "profile": "demo",
                "system_prompt": "You are a helpful assistant of a demo shop.",
            }
            messages = _messages(question, answer, at, random)
            storage.insert(cursor, storage.prepare(caller, columns, messages))
            made.append(columns["id"])
    return made


def _messages(question: str, answer: str, at: datetime, random: Random) -> list[storage.Row]:
    prompt, completion = random.randrange(200, 900), random.randrange(40, 300)
    cost = (prompt * Decimal("2.5") + completion * Decimal(10)) / 1_000_000
    metadata = {
        "demo": True,
        "provider": "openai",
        "model": "gpt-4o",
        "cost": str(cost),
        "latency_ms": random.randrange(600, 3000),
    }
    texts = (
        ChatMessage(role="user", content=question, metadata={"demo": True}),
        ChatMessage(
            role="assistant",
            content=answer,
            input_tokens=prompt,
            output_tokens=completion,
            metadata=metadata,
        ),
    )
    return storage.message_rows(texts, privacy.FULL, at)
