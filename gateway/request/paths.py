"""The one spelling of a path by which it is checked, relayed and cached."""

from urllib.parse import unquote


def canonical(path: str) -> str:
    """Return a path decoded, without repeated or final slashes."""
    return "/" + "/".join(segment for segment in unquote(path).split("/") if segment)


def leads_elsewhere(segment: str) -> bool:
    """Return whether a server may take a decoded segment for a step to another path.

    Servers written in Java take away what follows a `;` first, others the space around it.
    """
    return segment.partition(";")[0].strip() in (".", "..")
