"""New conversations and new messages of many requests, stored in a commit or two."""

import asyncio
from collections.abc import Sequence

from conversations import appending, storage
from conversations.appending import Addition
from conversations.storage import PreparedConversation
from core.database.group_commit import Execute, GroupWriter


async def insert(new: PreparedConversation) -> None:
    """Store a conversation durably. Raises DatabaseUnavailable."""
    await _writer.write(new)


async def append(addition: Addition) -> bool:
    """Append messages durably; return False if the caller has no such conversation.

    The first row gets its parent. Raises DatabaseUnavailable.
    """
    outcome = await _writer.write(addition)
    return await asyncio.shield(outcome) if isinstance(outcome, asyncio.Future) else outcome


async def _store(
    execute: Execute, items: list[PreparedConversation | Addition]
) -> Sequence[bool | asyncio.Task | None]:
    new = [item for item in items if isinstance(item, PreparedConversation)]
    additions = [item for item in items if isinstance(item, Addition)]
    if new:
        await storage.insert_group(execute, new)
    outcomes = iter(await appending.append_group(execute, additions) if additions else ())
    return [next(outcomes) if isinstance(item, Addition) else None for item in items]


_writer = GroupWriter(_store)
