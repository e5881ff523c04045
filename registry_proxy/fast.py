"""`GET /registry` on the fast lane (core/edge.py)."""

from core.edge import Answer
from registry_proxy import service


def registry(environ: dict) -> Answer | None:
    """The whole current registry from prepared bytes; queries and failures are for the view."""
    if environ.get("QUERY_STRING"):
        return None
    edition = service.current.get()
    if edition is None:
        return None
    found = edition.representation
    headers = [*found.headers.items()]
    if found.is_known_to(environ.get("HTTP_IF_NONE_MATCH", "")):
        return Answer(b"", 304, headers)
    return Answer(found.body, 200, headers)
