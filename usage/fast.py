"""The hottest usage routes on the edge (core/edge.py)."""

from rest_framework.exceptions import ParseError

from accounts.authentication import cached_caller
from core import bridge, media, schemas
from core.fast_lane import Answer, body_of, borrowed_connection
from usage import ingestion, listing, statistics
from usage.ingestion import OwnedConversations, checked_idempotency_key
from usage.schemas import LogEntry, LogsQuery, StatsQuery


def log(environ: dict, *, owned_conversations: OwnedConversations) -> Answer | None:
    """Answer for a known key."""
    caller = cached_caller(environ)
    body = caller and body_of(environ)
    if body is None:
        return None
    try:
        entry = schemas.parse(LogEntry, body, content_type=environ.get("CONTENT_TYPE", ""))
    except ParseError:
        return None
    reply = ingestion.log(
        caller,
        entry,
        owned_conversations=owned_conversations,
        idempotency_key=checked_idempotency_key(environ.get("HTTP_IDEMPOTENCY_KEY")),
    )
    return Answer(media.dumps(bridge.run(reply)))


def stats(environ: dict) -> Answer | None:
    """Answer for a known key."""
    caller = cached_caller(environ)
    if caller is None:
        return None
    query = schemas.parse_query(StatsQuery, environ["QUERY_STRING"])
    with borrowed_connection():
        return Answer(media.dumps(statistics.stats(caller, query)))


def logs(environ: dict) -> Answer | None:
    """Answer for a known key."""
    caller = cached_caller(environ)
    if caller is None:
        return None
    query = schemas.parse_query(LogsQuery, environ["QUERY_STRING"])
    with borrowed_connection():
        body, headers = listing.logs(caller, query)
    return Answer(media.dumps(body), headers=[*headers.items()])
