"""Appending messages: those of requests that arrive together by one statement.

The statement locks the rows of the conversations before it changes their counters: writers to
one conversation take turns, and positions follow the order of their commits. On the event loop
it waits for no lock, or whoever holds one would hold up all others of the group: what was locked
is appended in a thread, which may wait.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from conversations.storage import CONTENT, OWNER, WORDS, Row, Totals, message_words, values_of
from core import bridge, json_writer
from core.database.columns import recordset
from core.database.group_commit import Execute
from core.database.raw_connection import pooled_cursor
from core.scoping import Caller


@dataclass(frozen=True, slots=True)
class Addition:
    """Messages for the end of a conversation, as rows and as JSON. There is at least one.

    A first message without a parent follows the newest stored one, unless `follows` is false.
    """

    caller: Caller
    conversation_id: UUID
    rows: Sequence[Row]
    totals: Totals
    messages: bytes
    words: bytes
    follows: bool = True

    @property
    def place(self) -> tuple[UUID, UUID]:
        """The conversation, and the project that must have it."""
        return self.conversation_id, self.caller.project_id


class Placed(NamedTuple):
    """The outcome of the first addition to a conversation.

    `id_before` is the message that it follows. `is_stored` is false if the caller has no such
    conversation, or if somebody held its lock.
    """

    id_before: UUID | None
    is_stored: bool


def prepare(
    caller: Caller, conversation_id: UUID, rows: Sequence[Row], *, follows: bool = True
) -> Addition:
    """Return the addition, ready for the statement."""
    owner = {"conversation_id": conversation_id, "project_id": caller.project_id}
    words = list(message_words(rows, owner))
    return Addition(
        caller,
        conversation_id,
        rows,
        Totals.of(rows),
        json_writer.dumps(rows),
        json_writer.dumps(words)[1:-1],
        follows,
    )


def append(cursor, addition: Addition) -> bool:
    """Append on Django's cursor, or one of `pooled_cursor`; False if there is no conversation.

    The first row gets its parent.
    """
    cursor.execute(*_statement([addition], waits=True))
    return _finish([addition], cursor.fetchall())[0]


async def append_group(
    execute: Execute, additions: Sequence[Addition]
) -> list[bool | asyncio.Task]:
    """Append for a group; return of each addition what `append` does, or a task that will."""
    if bridge.is_inline():  # in a transaction, which waits for its locks anyway
        return _finish(additions, await execute(*_statement(additions, waits=True)))
    rows = await execute(*_statement(additions, waits=False))
    tasks = {
        place: asyncio.ensure_future(
            bridge.in_thread(append_now, [each for each in additions if each.place == place])
        )
        for place, placed in _by_place(rows).items()
        if not placed.is_stored
    }
    _finish(additions, rows)
    return [tasks.get(each.place, True) for each in additions]


def append_now(additions: Sequence[Addition]) -> bool:
    """Append to one conversation, however large the messages are; wait for its lock."""
    with pooled_cursor() as cursor:
        cursor.execute(*_statement(additions, waits=True))
        return all(_finish(additions, cursor.fetchall()))


def _finish(additions: Sequence[Addition], rows: Sequence[Sequence]) -> list[bool]:
    """Give the first rows their parents; return of each addition whether it is stored."""
    placed = _by_place(rows)
    last_ids: dict[tuple, UUID] = {}
    for each in additions:
        first = each.rows[0]
        if each.follows and first.get("parent_id") is None:
            first["parent_id"] = last_ids.get(each.place, placed[each.place].id_before)
        last_ids[each.place] = each.rows[-1]["id"]
    return [placed[each.place].is_stored for each in additions]


def _by_place(rows: Sequence[Sequence]) -> dict[tuple[UUID, UUID], Placed]:
    return {(conversation, project): Placed(*rest) for conversation, project, *rest in rows}


def _statement(additions: Sequence[Addition], *, waits: bool) -> tuple[str, list[str]]:
    """Return the statement that appends, and its parameters."""
    totals: dict[tuple, dict[str, Any]] = {}
    owners = []
    for each in additions:
        total = totals.get(each.place)
        owners.append(
            {
                "conversation": each.conversation_id,
                "project": each.caller.project_id,
                "api_key": each.caller.api_key_id,
                "person": each.caller.user_id,
                "before": total["added"] if total else 0,
                "after_id": total and total["last_id"],
                "follows": each.follows,
                "messages": orjson.Fragment(each.messages),
            }
        )
        totals[each.place] = _sum(total, each)
    words = b",".join(each.words for each in additions if each.words)
    lists = [
        json_writer.dumps([*totals.values()]),
        b"[%b]" % words if words else b"",
        json_writer.dumps(owners),
    ]
    parameters = [text.decode() for text in lists if text]
    return _sql(waits=waits, has_words=bool(words)), parameters


def _sum(total: dict[str, Any] | None, addition: Addition) -> dict[str, Any]:
    """Return the increments of a conversation's counters, added to those of an earlier addition."""
    own = addition.totals
    added = {
        "conversation": addition.conversation_id,
        "project": addition.caller.project_id,
        "first_id": addition.rows[0]["id"],
        "last_id": addition.rows[-1]["id"],
        "last_at": own.last_at,
        "added": own.messages,
        "input_tokens": own.input_tokens,
        "output_tokens": own.output_tokens,
        "cost": own.cost,
    }
    if total is None:
        return added
    summed = {name: total[name] + added[name] for name in _SUMMED}
    later = max(total["last_at"], added["last_at"])
    return {**added, **summed, "first_id": total["first_id"], "last_at": later}


_SUMMED = ("added", "input_tokens", "output_tokens", "cost")
_TOTAL = {
    "conversation": "uuid",
    "project": "uuid",
    "first_id": "uuid",
    "last_id": "uuid",
    "last_at": "timestamptz",
    "added": "int",
    "input_tokens": "numeric",
    "output_tokens": "numeric",
    "cost": "numeric",
}
_ADDITION = {
    "conversation": "uuid",
    "project": "uuid",
    "api_key": "uuid",
    "person": "uuid",
    "before": "int",
    "after_id": "uuid",
    "follows": "boolean",
    "messages": "json",
}


@lru_cache
def _sql(*, waits: bool, has_words: bool) -> str:
    message = ", ".join(f"{name} {type}" for name, type in CONTENT.items())
    indexed = f""", indexed AS (
    INSERT INTO conversation_words ({", ".join(WORDS)})
    SELECT {values_of(WORDS)} FROM {recordset(WORDS, "new")}
        JOIN updated ON (conversation, project) = (conversation_id, project_id)
)"""
    return f"""
WITH total AS (
    -- A statement that is repeated after a lost connection has appended them already.
    SELECT new.*, stored.id IS NOT NULL AS is_known, stored.parent_id AS known_before
    FROM {recordset(_TOTAL, "new")} LEFT JOIN LATERAL (
        -- So written, no index of a project's rows is taken instead of that of ids, which a
        -- plan may do that was made while the table was empty.
        SELECT id, parent_id FROM messages
        WHERE id = first_id AND (project_id = project) IS TRUE LIMIT 1
    ) AS stored ON true
), locked AS (
    -- One by one: a mere join might read the whole table, here and below. A statement that
    -- waits has one conversation: no two wait for each other in a circle.
    SELECT total.*, own.last_message_id AS id_before
    FROM total CROSS JOIN LATERAL (
        SELECT last_message_id FROM conversations
        WHERE id = conversation AND (project_id = project) IS TRUE
        FOR UPDATE{"" if waits else " SKIP LOCKED"}
    ) AS own
    WHERE NOT is_known
), updated AS (
    UPDATE conversations SET
        message_count = message_count + added,
        last_position = last_position + added,
        total_input_tokens = total_input_tokens + input_tokens,
        total_output_tokens = total_output_tokens + output_tokens,
        total_cost = total_cost + cost,
        updated_at = greatest(updated_at, last_at),
        last_message_at = greatest(last_message_at, last_at),
        last_message_id = last_id
    FROM locked
    WHERE id = conversation AND id = ANY(ARRAY(SELECT conversation FROM locked))
    RETURNING conversation, project, last_position - added AS position_before, id_before
){indexed if has_words else ""}, inserted AS (
    INSERT INTO messages ({", ".join((*OWNER, "parent_id", *CONTENT))})
    SELECT conversation, project, api_key, person, position_before + before + number,
        coalesce(
            parent_id,
            CASE WHEN number = 1 AND follows THEN coalesce(after_id, id_before) END
        ),
        {values_of(CONTENT)}
    FROM {recordset(_ADDITION, "addition")}
        JOIN updated USING (conversation, project)
        CROSS JOIN LATERAL ROWS FROM (
            json_to_recordset(addition.messages) AS (parent_id uuid, {message})
        ) WITH ORDINALITY AS new(parent_id, {", ".join(CONTENT)}, number)
)
SELECT conversation, project, coalesce(id_before, known_before),
    is_known OR position_before IS NOT NULL
FROM total LEFT JOIN updated USING (conversation, project)
"""
