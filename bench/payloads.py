"""What the cases send, and the rows that the reading cases read. The same in every run."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.request import READER_KEY

COSTED_LOG = {
    "model": "gpt-4o-mini",
    "provider": "openai",
    "input_tokens": 1200,
    "output_tokens": 340,
    "cached_input_tokens": 200,
    "alias": "summarizer",
    "profile": "default",
    "cost": 0.000369,
    "latency_ms": 812,
    "origin": "bench",
    "id_at_origin": "call-000001",
    "metadata": {"conversation": "c-17", "attempt": 1, "tags": ["bench", "log"]},
}
UNCOSTED_LOG = {name: value for name, value in COSTED_LOG.items() if name != "cost"}

CONVERSATION = {
    "title": "A benchmark conversation",
    "system_prompt": "You answer in one short sentence.",
    "model_alias": "summarizer",
    "temperature": 0.7,
    "max_tokens": 512,
}
CONVERSATION_CALL = {
    "messages": [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "What does a benchmark measure, and what does it leave out?"},
    ],
    "response": {
        "content": "It measures what it repeats, and leaves out what it does not.",
        "model": "gpt-4o-mini",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 32, "completion_tokens": 16},
    },
    "metadata": {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "alias": "summarizer",
        "cost": 0.0000144,
        "input_tokens": 32,
        "output_tokens": 16,
    },
}
TEMPLATE = {
    "name": "A benchmark template",
    "description": "Asks for one short sentence.",
    "system_prompt": "You answer in one short sentence about {topic}.",
    "user_prompt_template": "What does {topic} measure?",
    "model": "gpt-4o-mini",
    "temperature": 0.7,
    "max_tokens": 512,
}
UNSIGNED_RECEIPT = {
    "alias": "summarizer",
    "profile": "default",
    "lock_digest": "b9a1f3c2d4e5",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "prompt_tokens": 1200,
    "completion_tokens": 340,
    "total_tokens": 1540,
    "input_cost": 0.00018,
    "output_cost": 0.000204,
    "total_cost": 0.000384,
}

PROVIDERS = ("openai", "anthropic")
USAGE_DAYS = 29  # inside the thirty days that both servers look back when not told otherwise


def messages(count: int) -> list[dict]:
    """Return messages of about 220 characters, user and assistant in turn."""
    text = "A benchmark repeats one thing and counts how often it was done. " * 3
    return [
        {
            "role": "assistant" if number % 2 else "user",
            "content": f"{number}: {text}{'.' * 24}",
            "input_tokens": 48,
            "output_tokens": 0,
            "metadata": {"cost": 0.00001},
        }
        for number in range(count)
    ]


def usage_rows(count: int) -> Iterator[dict]:
    """Yield rows of one key, spread evenly over the last days: 8 models, 5 aliases, 4 origins.

    The members are the columns of the older server's table.
    """
    end = datetime.now(UTC) - timedelta(minutes=1)
    step = timedelta(days=USAGE_DAYS) / count
    for number in range(count):
        model = number % 8
        yield {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
            "api_key_id": READER_KEY,
            "model": f"model-{model}",
            "provider": PROVIDERS[model % len(PROVIDERS)],
            "alias": f"alias-{number % 5}",
            "profile": "default",
            "input_tokens": 500 + number % 1000,
            "output_tokens": 100 + number % 300,
            "cached_input_tokens": number % 50,
            "cost": f"{0.0001 * (1 + number % 90):.8f}",
            "latency_ms": 300 + number % 700,
            "origin": f"origin-{number // 8 % 4}",
            "metadata": {"number": number},
            "created_at": (end - number * step).isoformat(),
        }
