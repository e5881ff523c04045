"""The hottest usage routes on the fast lane (llmring_site/fast_lane.py)."""

from accounts.authentication import remembered_scope
from llmring_site import media
from llmring_site.fast_lane import Answer, body_of, borrowed_connection
from usage import answers, ingestion, rows
from usage.entries import LogEntry, decode


def log(environ: dict) -> Answer | None:
    """Answers a plain well-formed log of a known key; everything else is for the view."""
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        return None
    scope = remembered_scope(environ)
    if scope is None or not environ.get("CONTENT_TYPE", "").startswith("application/json"):
        return None
    body = body_of(environ)
    entry = decode(LogEntry, body) if body else None
    if entry is None:
        return None
    return Answer(media.dumps(rows.shown(ingestion.log(entry, scope))))


def stats(environ: dict) -> Answer | None:
    """Answers for a known key."""
    scope = remembered_scope(environ)
    if scope is None:
        return None
    with borrowed_connection():
        return Answer(media.dumps(answers.stats(scope, environ["QUERY_STRING"])))


def logs(environ: dict) -> Answer | None:
    """Answers for a known key."""
    scope = remembered_scope(environ)
    if scope is None:
        return None
    with borrowed_connection():
        body, headers = answers.logs(scope, environ["QUERY_STRING"])
    return Answer(media.dumps(body), headers=[*headers.items()])
