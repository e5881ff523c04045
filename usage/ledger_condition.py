"""The condition of a queryset of logs as SQL, for statements that are not Django's."""

import re
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import QuerySet

from usage.models import UsageLog


def condition_of(logs: QuerySet[UsageLog]) -> tuple[str, dict[str, Any]]:
    """Return the condition on rows of the ledger that selects the logs, and its parameters."""
    query = logs.order_by().query
    try:
        sql, values = query.where.as_sql(query.get_compiler(connection=connection), connection)
    except EmptyResultSet:
        return "false", {}
    except FullResultSet:
        return "true", {}
    names = [f"value_{n}" for n in range(len(values))]
    unused = iter(names)
    named = re.sub(r"%(.)", lambda match: _named(match[1], unused), sql)
    return named, dict(zip(names, values, strict=True))


def _named(character: str, names) -> str:
    return f"%({next(names)})s" if character == "s" else f"%{character}"
