"""Typed readers of environment variables.

Every variable is read once, in `settings.py`, through these. A bad value raises
`ImproperlyConfigured` with the variable's name and what is accepted.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

# Names that settings.py has asked for; the README's table and the warning
# about unknown variables are checked against it.
known: set[str] = set()

# Variables of the client library that users keep in the same environment.
CLIENT_VARIABLES = {
    "LLMRING_SERVER_URL",
    "LLMRING_API_URL",
    "LLMRING_API_KEY",
    "LLMRING_PROJECT_KEY",
    "LLMRING_PROFILE",
    "LLMRING_PREFER_SAAS",
    "LLMRING_LOCKFILE_PATH",
}
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def text(name: str, default: str = "") -> str:
    """The variable's text, stripped; `default` when unset or empty."""
    known.add(name)
    return os.environ.get(name, "").strip() or default


def secret(name: str) -> str:
    """As `text`, or the content of the file that `<name>_FILE` names; "" when neither is set."""
    known.add(f"{name}_FILE")
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not path:
        return text(name)
    known.add(name)
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise refused(f"{name}_FILE", f"a readable file ({error.strerror}: {path})") from error


def keys(name: str) -> list[str]:
    """Secret keys, separated by commas; each long enough to be random."""
    found = [key.strip() for key in secret(name).split(",") if key.strip()]
    if any(len(key) < 32 for key in found):
        raise refused(name, "random text of at least 32 characters (several separated by commas)")
    return found


def integer(
    name: str, default: int, *, minimum: int | None = None, maximum: int | None = None
) -> int:
    value = text(name, str(default))
    accepted = "an integer"
    if minimum is not None:
        accepted += f" of at least {minimum}"
    if maximum is not None:
        accepted += f" and at most {maximum}"
    try:
        number = int(value)
    except ValueError:
        raise refused(name, accepted, value) from None
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise refused(name, accepted, value)
    return number


def boolean(name: str, default: bool) -> bool:
    value = text(name, "on" if default else "off").lower()
    if value not in _TRUE | _FALSE:
        raise refused(name, "one of " + ", ".join(sorted(_TRUE | _FALSE)), value)
    return value in _TRUE


def choice(name: str, default: str, choices: Iterable[str]) -> str:
    value = text(name, default).lower()
    if value not in set(choices):
        raise refused(name, "one of " + ", ".join(choices), value)
    return value


def listed(name: str, default: Iterable[str] = ()) -> list[str]:
    """A comma-separated list, or the same written as a JSON array of strings."""
    value = text(name)
    if not value:
        return list(default)
    if value.startswith("["):
        try:
            items = json.loads(value)
        except ValueError:
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise refused(name, "a comma-separated list or a JSON array of strings")
        return items
    return [item.strip() for item in value.split(",") if item.strip()]


def url(name: str, default: str, *, schemes: Iterable[str] = ("http", "https")) -> str:
    """An address with one of the schemes; "" when unset and without default."""
    value = text(name, default)
    if not value:
        return value
    try:
        parts = urlsplit(value)
        well_formed = parts.scheme in set(schemes) and bool(parts.netloc or parts.path)
        parts.port  # noqa: B018 - raises on a bad port
    except ValueError:
        well_formed = False
    if not well_formed:
        # A database or Redis address may hold a password: it is not repeated.
        raise refused(name, "an address beginning with " + " or ".join(f"{s}://" for s in schemes))
    return value


def identifier(name: str, default: str) -> str:
    """A PostgreSQL name that needs no quoting."""
    value = text(name, default)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,49}", value):
        raise refused(name, "lower-case letters, digits and underscores (50 at most)", value)
    return value


def unknown() -> list[str]:
    """Variables with our prefix that nothing reads: most likely misspelt."""
    ours = {name for name in os.environ if name.startswith("LLMRING_")}
    return sorted(ours - known - CLIENT_VARIABLES)


def refused(name: str, accepted: str, value: str | None = None) -> ImproperlyConfigured:
    got = "" if value is None else f", got {value!r}"
    return ImproperlyConfigured(f"{name} must be {accepted}{got}.")
