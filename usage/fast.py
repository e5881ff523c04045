"""The hottest usage routes on the fast lane (core/edge.py)."""

from accounts.authentication import cached_caller
from core import media
from core.edge import Answer, body_of, borrowed_connection
from usage import answers, ingestion, rows
from usage.entries import LogEntry, decode


def log(environ: dict) -> Answer | None:
    """Answers a plain well-formed log of a known key; everything else is for the view."""
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        return None
    caller = cached_caller(environ)
    if caller is None or not environ.get("CONTENT_TYPE", "").startswith("application/json"):
        return None
    body = body_of(environ)
    entry = decode(LogEntry, body) if body else None
    if entry is None:
        return None
    return Answer(media.dumps(rows.shown(ingestion.log(entry, caller))))


def stats(environ: dict) -> Answer | None:
    """Answers for a known key."""
    caller = cached_caller(environ)
    if caller is None:
        return None
    with borrowed_connection():
        return Answer(media.dumps(answers.stats(caller, environ["QUERY_STRING"])))


def logs(environ: dict) -> Answer | None:
    """Answers for a known key."""
    caller = cached_caller(environ)
    if caller is None:
        return None
    with borrowed_connection():
        body, headers = answers.logs(caller, environ["QUERY_STRING"])
    return Answer(media.dumps(body), headers=[*headers.items()])
