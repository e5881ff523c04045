"""The origins of URLs."""

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port. Raises ValueError."""
    # requests ends the host at a backslash, urlsplit does not.
    parts = urlsplit(url.replace("\\", "/"))
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
