"""Changing aliases: every call is one revision, all of it or nothing.

The project's row of `alias_revisions` is locked first, so changes of a project
have an order, and whoever has read up to a revision has missed none before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from django.db import connection, transaction

from aliases.models import AliasBinding, AliasRevision
from core.scoping import Caller

_NEXT_REVISION = """
INSERT INTO alias_revisions (project_id, revision) VALUES (%s, 1)
ON CONFLICT (project_id) DO UPDATE SET revision = alias_revisions.revision + 1
RETURNING revision
"""
# The clock is read after the lock was taken: times have the order of revisions.
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
    """Bind each alias, new or not; how many were sent. Of a repeated alias the last counts."""
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
                "bindings": orjson.dumps(list(last.values())).decode(),
            },
        )
    return len(bindings)


def bind(caller: Caller, profile: str, binding: Binding) -> AliasBinding:
    """Bind one alias; its row."""
    with transaction.atomic():
        bind_all(caller, profile, [binding])
        return AliasBinding.objects.for_caller(caller).get(profile=profile, alias=binding.alias)


def unbind(caller: Caller, profile: str, alias: str) -> bool:
    """Remove the alias; whether there was one."""
    with transaction.atomic(), connection.cursor() as cursor:
        # The lock of all changes first, as in bind_all: no circle of waiting.
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
