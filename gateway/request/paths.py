"""The one spelling of a path by which it is checked, relayed and kept."""

from urllib.parse import unquote


def canonical(path: str) -> str:
    """Return a path decoded, without repeated or final slashes."""
    return "/" + "/".join(segment for segment in unquote(path).split("/") if segment)
