"""Run by the released client's own Python: `python conversations.py URL KEY REGISTRY`.

Everything the client does with conversations. Prints one JSON object: what it
got, and every warning that was logged meanwhile.
"""

import asyncio
import json
import logging
import sys

from llmring import LLMRequest, LLMResponse, LLMRing, Message
from llmring.mcp.http_client import MCPHttpClient
from llmring.service_extended import LLMRingSession

url, key, registry = sys.argv[1:]
warnings = []


class Collect(logging.Handler):
    def emit(self, record):
        warnings.append(f"{record.name}: {record.getMessage()}")


logging.getLogger().addHandler(Collect(level=logging.WARNING))
# Warns that it could not download a tokenizer, which is not about this server.
logging.getLogger("llmring.services.validation_service").propagate = False


async def answer(messages, model, **options):
    return LLMResponse(
        content=f"answer to {messages[-1].content}",
        model=model,
        usage={"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200},
        finish_reason="stop",
    )


def ring(kind, **options):
    made = kind(server_url=url, api_key=key, registry_url=registry, **options)
    made.register_provider("openai", api_key="unused")
    made.providers["openai"].chat = answer
    return made


def asking(*texts):
    messages = [Message(role="user", content=text) for text in texts]
    return LLMRequest(model="openai:gpt-4o-mini", messages=messages)


async def main():
    session = ring(LLMRingSession)
    id = await session.create_conversation(title="A session", system_prompt="Be brief.")
    await session.chat_with_conversation(asking("one"), conversation_id=id)
    await session.chat_with_conversation(asking("two", "three"), conversation_id=id)
    logging_ring = ring(LLMRing, log_conversations=True)
    parts = [{"type": "text", "text": "look"}]
    await logging_ring.chat(asking("four"))
    await logging_ring.chat(asking(parts))
    manager = MCPHttpClient(base_url=url, api_key=key)
    own = await manager.create_conversation(title="MCP", project_id="default-user")
    added = await manager.add_message(own, role="user", content="five")
    result = {
        "created": str(id),
        "history": await session.get_conversation_history(id, limit=3),
        "listed": await session.list_conversations(limit=10),
        "manager": str(own),
        "added": added,
        "messages": await manager.get_conversation_messages(own),
        "warnings": warnings,
    }
    await manager.close()
    print(json.dumps(result))


asyncio.run(main())
