"""Changing aliases: every call is one revision, applied whole or not at all.

The project's row of `alias_revisions` is locked first, so changes of a project
have an order, and a reader that has read up to a revision has missed none before it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from django.db import connection, transaction

from aliases.models import AliasBinding, AliasRevision
from core import json_writer
from core.scoping import Caller

_NEXT_REVISION = """
INSERT INTO alias_revisions (project_id, revision) VALUES (%s, 1)
ON CONFLICT (project_id) DO UPDATE SET revision = alias_revisions.revision + 1
RETURNING revision
"""
# The clock is read under the lock, so times have the order of revisions.
_BIND = """
INSERT INTO aliases AS bound (
    project_id, api_key_id, user_id, profile, alias, model, metadata, revision,
    created_at, updated_at
)
SELECT %(project)s, %(key)s, %(user)s, %(profile)s, alias, model, metadata, %(revision)s,
    now.at, now.at
FROM jsonb_to_recordset(%(bindings)s::jsonb) AS binding(alias text, model text, metadata jsonb),
    (SELECT clock_timestamp() AS at) AS now
ON CONFLICT (project_id, profile, alias) DO UPDATE SET
    api_key_id = excluded.api_key_id,
    user_id = excluded.user_id,
    model = excluded.model,
    metadata = excluded.metadata,
    revision = excluded.revision,
    created_at =
        CASE WHEN bound.deleted_at IS NULL THEN bound.created_at ELSE excluded.created_at END,
    updated_at = excluded.updated_at,
    deleted_at = NULL
"""
_UNBIND = """
WITH now AS (SELECT clock_timestamp() AS at)
UPDATE aliases SET revision = %s, updated_at = now.at, deleted_at = now.at, api_key_id = %s,
    user_id = %s
FROM now WHERE id = %s
"""


@dataclass(frozen=True, slots=True)
class Binding:
    alias: str
    model: str
    metadata: object = None


def bind_all(caller: Caller, profile: str, bindings: Sequence[Binding]) -> int:
    """Bind each alias, new or not; return how many were sent.

    Of an alias that is repeated the last one counts.
    """
    if not bindings:
        return 0
    last = {binding.alias: binding for binding in bindings}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _BIND,
            {
                "project": caller.project_id,
                "key": caller.api_key_id,
                "user": caller.user_id,
                "profile": profile,
                "revision": _next_revision(cursor, caller),
                "bindings": json_writer.dumps(
                    [asdict(binding) for binding in last.values()]
                ).decode(),
            },
        )
    return len(bindings)


def bind(caller: Caller, profile: str, binding: Binding) -> AliasBinding:
    """Bind one alias; return its row."""
    with transaction.atomic():
        bind_all(caller, profile, [binding])
        return AliasBinding.objects.for_caller(caller).get(profile=profile, alias=binding.alias)


def unbind(caller: Caller, profile: str, alias: str) -> bool:
    """Remove the alias; return whether there was one."""
    with transaction.atomic(), connection.cursor() as cursor:
        # The lock of all changes first, as in bind_all, so that no two wait for each other.
        list(AliasRevision.objects.select_for_update().filter(project_id=caller.project_id))
        bound = AliasBinding.objects.for_caller(caller).bound()
        row = bound.filter(profile=profile, alias=alias).first()
        if row is None:
            return False
        cursor.execute(
            _UNBIND, [_next_revision(cursor, caller), caller.api_key_id, caller.user_id, row.id]
        )
        return True


def _next_revision(cursor, caller: Caller) -> int:
    cursor.execute(_NEXT_REVISION, [caller.project_id])
    return cursor.fetchone()[0]
