"""Conditions on a column of ids that send many ids as one parameter.

Django's `in` sends a parameter for each id, and psycopg adapts each of them, in lists too:
that takes seconds for ten thousand projects.
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
    """Return a condition for `filter`: the column has one of the ids."""
    return _AnyId(F(column), uuid_array(ids))


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return the ids as the text of a PostgreSQL array, for a parameter `%s::uuid[]`."""
    return f"{{{','.join(map(str, ids))}}}"
