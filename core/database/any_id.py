"""Conditions on a column of ids that take many of them as one text.

Django's `in` takes a parameter for each, and psycopg looks at every one of them, in lists
too: seconds for ten thousand projects.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import F, Lookup


class _AnyId(Lookup):
    prepare_rhs = False

    def as_sql(self, compiler, connection) -> tuple[str, list]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::uuid[])", [*parameters, self.rhs]


def any_id(column: str, ids: Iterable[UUID]) -> Lookup:
    """Return the condition, for `filter`, that the column has one of the ids."""
    return _AnyId(F(column), uuid_array(ids))


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return the ids as PostgreSQL writes an array of them, for a parameter `%s::uuid[]`."""
    return f"{{{','.join(map(str, ids))}}}"
