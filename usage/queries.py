"""Query strings of the reading routes: validated, with their window and labels."""

from datetime import UTC, datetime
from functools import lru_cache

from django.http import QueryDict

from usage import statistics, windows
from usage.serializers import WindowQuery
from usage.windows import Window


def read(kind: type[WindowQuery], query_string: str) -> tuple[dict, Window, dict[str, str]]:
    """The parameters, the window and the labels that a query string asks for.

    Raises InvalidInput.
    """
    query = _validated(kind, query_string)
    window = windows.read(query.get("start_date"), query.get("end_date"), now=datetime.now(UTC))
    return query, window, {name: query[name] for name in statistics.LABELS if name in query}


# Clients repeat themselves, and building a serializer costs more than their query does.
@lru_cache(maxsize=512)
def _validated(kind: type[WindowQuery], query_string: str) -> dict:
    return kind.parse(QueryDict(query_string).items())
