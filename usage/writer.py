"""The writer of usage logs (core/database/group_commit.py)."""

from core.database.group_commit import Execute, GroupWriter
from usage import statement
from usage.rows import Row


async def store(execute: Execute, rows: list[Row]) -> list[bool]:
    """Store the rows; return of each whether it is new. If not, its event id was there already."""
    [(_, new_events)] = await execute(
        statement.INSERT, statement.parameters([row.text for row in rows])
    )
    new = set(new_events or ())
    return [row.event_id is None or row.id in new for row in rows]


writer = GroupWriter(store)
