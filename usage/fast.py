"""The hottest usage routes on the edge (core/edge.py)."""

from accounts.authentication import cached_caller
from core import media
from core.fast_lane import Answer, body_of, borrowed_connection
from usage import ingestion, listing, statistics
from usage.entries import LogEntry, decode
from usage.ingestion import OwnedConversations


def log(environ: dict, *, owned_conversations: OwnedConversations) -> Answer | None:
    """Answer a plain well-formed log of a known key; leave everything else to the view."""
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        return None
    caller = cached_caller(environ)
    if caller is None or not environ.get("CONTENT_TYPE", "").startswith("application/json"):
        return None
    body = body_of(environ)
    entry = decode(LogEntry, body) if body else None
    if entry is None:
        return None
    with borrowed_connection():  # for the conversation that it may name
        row = ingestion.log(entry, caller, owned_conversations=owned_conversations)
    return Answer(media.dumps(row.reply()))


def stats(environ: dict) -> Answer | None:
    """Answer for a known key."""
    caller = cached_caller(environ)
    if caller is None:
        return None
    with borrowed_connection():
        return Answer(media.dumps(statistics.stats(caller, environ["QUERY_STRING"])))


def logs(environ: dict) -> Answer | None:
    """Answer for a known key."""
    caller = cached_caller(environ)
    if caller is None:
        return None
    with borrowed_connection():
        body, headers = listing.logs(caller, environ["QUERY_STRING"])
    return Answer(media.dumps(body), headers=[*headers.items()])
