"""The replies of the reading routes, for the views and for the fast lane alike."""

import orjson

from core.scoping import Caller
from usage import listing, queries, statistics
from usage.serializers import LogsQuery, StatsQuery


def stats(caller: Caller, query_string: str) -> dict:
    """The body of `GET /stats`. Raises InvalidInput."""
    query, window, labels = queries.read(StatsQuery, query_string)
    return statistics.of_window(caller, window, group_by=query["group_by"], labels=labels)


def logs(caller: Caller, query_string: str) -> tuple[orjson.Fragment, dict[str, str]]:
    """The body and the headers of `GET /logs`. Raises InvalidInput."""
    query, window, labels = queries.read(LogsQuery, query_string)
    text, last = listing.page(
        caller,
        window,
        labels,
        limit=query["limit"],
        offset=query["offset"],
        older_than=query.get("cursor"),
    )
    return orjson.Fragment(text), {"X-Next-Cursor": str(last)} if last else {}
