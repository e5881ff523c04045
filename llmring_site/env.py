"""Typed readers of environment variables.

Every variable is read once, in `settings.py`, through these. A bad value raises
`ImproperlyConfigured` with the variable's name and what is accepted.
"""

import difflib
import errno
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from core.key_files import MIN_LENGTH

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
# Ours without the prefix, by the names that llm-proxy, the older server or other programs know.
SHARED_VARIABLES = {
    "ADMIN_PASSWORD",
    "ADMIN_USER",
    "API_CONFIG_PATH",
    "DEFAULT_API_PROVIDER",
    "ENABLE_METRICS",
    "HTTP_CACHE_DEFAULT_TTL",
    "HTTP_CACHE_ENABLED",
    "HTTP_CACHE_MAX_OBJECT_BYTES",
    "LISTEN_ADDR",
    "LOG_FILE",
    "LOG_MAX_BACKUPS",
    "LOG_MAX_SIZE_MB",
    "MANAGEMENT_TOKEN",
    "METRICS_PATH",
    "OPENAI_API_KEY",
    "OPENAI_API_URL",
}
NOT_UTF_8 = "[\udc80-\udcff]"  # the surrogates that Python has for other bytes
_MAX_INTEGER = 2**31 - 1  # as of PostgreSQL's integer; seconds of it can still be added to times
_MAX_SHOWN = 100  # characters of a value in an error
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def text(name: str, default: str = "", *, max_length: int | None = None) -> str:
    """Return the variable's line of text, stripped; `default` when unset or empty."""
    value = _one_line(name, _value(name)) or default
    if max_length is not None and len(value) > max_length:
        raise invalid(name, f"{max_length} characters long at most")
    return value


def _one_line(name: str, value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise invalid(name, "one line, without control characters")
    return value


def _value(name: str) -> str:
    known.add(name)
    value = os.environ.get(name, "").strip()
    if re.search(NOT_UTF_8, value):
        raise invalid(name, "text in UTF-8")
    return value


def secret(name: str) -> str:
    """Return the text, or the content of the file that `<name>_FILE` names; "" without both."""
    known.add(f"{name}_FILE")
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not path:
        return _value(name)
    known.add(name)
    try:
        value = Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is in another encoding"
        # Without such a directory it may be the secret itself, set under the wrong name.
        where = f": {path}" if os.path.isdir(os.path.dirname(path)) else ""
        raise invalid(f"{name}_FILE", f"a readable file of UTF-8 text ({reason}{where})") from error
    if not value:  # the default would be another database, or a new key
        raise invalid(f"{name}_FILE", f"a file with a value (it is empty: {path})")
    return value


def secret_line(name: str) -> str:
    """Return a secret that is one line of text, or "" when unset."""
    return _one_line(name, secret(name))


def token(name: str) -> str:
    """Return a secret that is sent in a header, or "" when unset."""
    value = secret(name)
    if value and not re.fullmatch(r"[!-~]+", value):
        raise invalid(name, "printable ASCII characters without blanks")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        raise invalid(name, "written without quotation marks, which would be part of it")
    return value


def secret_keys(name: str) -> list[str]:
    """Return secret keys, separated by commas; each long enough to be random."""
    value = secret(name)
    keys = [key.strip() for key in value.split(",") if key.strip()]
    if (value and not keys) or any(len(key) < MIN_LENGTH for key in keys):
        raise invalid(
            name,
            f"random text of at least {MIN_LENGTH} characters (several separated by commas)",
        )
    return keys


def secret_key(name: str) -> str:
    """Return one secret key, or "" when unset."""
    key = secret(name)
    if key and len(key) < MIN_LENGTH:
        raise invalid(name, f"random text of at least {MIN_LENGTH} characters")
    return key


def integer(name: str, default: int, *, minimum: int, maximum: int = _MAX_INTEGER) -> int:
    """Return the variable's number. Raises ImproperlyConfigured, also out of bounds."""
    value = text(name, str(default))
    # `int` would take `1_0` and the digits of other scripts as well.
    if re.fullmatch(r"-?[0-9]{1,20}", value) and minimum <= int(value) <= maximum:
        return int(value)
    raise invalid(name, f"an integer of at least {minimum} and at most {maximum}", value)


def boolean(name: str, default: bool) -> bool:
    """Return whether the variable is on. Raises ImproperlyConfigured."""
    value = text(name, "on" if default else "off").lower()
    if value not in _TRUE | _FALSE:
        raise invalid(name, "one of " + ", ".join(sorted(_TRUE | _FALSE)), value)
    return value in _TRUE


def choice(name: str, default: str, choices: Iterable[str]) -> str:
    """Return the variable's choice, in lower case as all are. Raises ImproperlyConfigured."""
    value = text(name, default).lower()
    if value not in set(choices):
        raise invalid(name, "one of " + ", ".join(choices), value)
    return value


def string_list(name: str, default: Iterable[str] = ()) -> list[str]:
    """Return a comma-separated list, or the same written as a JSON array of strings."""
    value = _value(name)
    if not value:
        return list(default)
    if re.match(r"\[\s*[\"\]{\[]", value) or value == "[":  # not [::1]
        try:
            items = json.loads(value)
        except ValueError:
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise invalid(name, "a comma-separated list or a JSON array of strings")
        return items
    return [item.strip() for item in value.split(",") if item.strip()]


def existing_path(name: str) -> str:
    """Return the path of an existing file or directory, or "" when unset.

    For variables that other programs share: they are not added to `known`.
    """
    value = os.environ.get(name, "").strip()
    if value and not os.path.exists(value):
        raise invalid(name, "an existing file or directory of certificates", value)
    return value


def writable_file(name: str) -> Path | None:
    """Return the path of a file that can be written, or None when unset. Creates nothing."""
    path = _path(name, text(name))
    if path is None:
        return None
    place = path if path.exists() else path.parent
    if path.is_dir() or not os.access(place, os.W_OK):
        raise invalid(name, "a file in a directory that exists and can be written", str(path))
    return path


def directory(name: str, default: str) -> Path:
    """Return the absolute path of a directory. Creates nothing."""
    return _path(name, text(name, default))


def _path(name: str, value: str) -> Path | None:
    """Return the absolute path, or None when empty. Raises ImproperlyConfigured.

    A path that does not exist is accepted unless it cannot.
    """
    if not value:
        return None
    try:
        path = Path(value).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # an unknown user's home, a loop of links
        reason = getattr(error, "strerror", None) or str(error)
        raise invalid(name, f"the path of a file or directory ({reason})", value) from None
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            accepted = f"the path of a file or directory ({error.strerror})"
            raise invalid(name, accepted, value) from None
    return path


def identifier(name: str, default: str) -> str:
    """Return a PostgreSQL name that needs no quoting."""
    value = text(name, default)
    if not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,49}", value):
        raise invalid(
            name,
            "lower-case letters, digits and underscores, 50 at most, not beginning with pg_",
            value,
        )
    return value


def unknown() -> dict[str, str]:
    """Return the variables with our prefix that nothing reads, each with the likeliest name.

    The other name is "" when none is similar.
    """
    names = {name for name in os.environ if name.upper().startswith("LLMRING_")}
    similar = {
        name: difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
        for name in sorted(names - known - CLIENT_VARIABLES)
    }
    return {name: matches[0] if matches else "" for name, matches in similar.items()}


def invalid(name: str, accepted: str, value: str | None = None) -> ImproperlyConfigured:
    """Return the error for a variable; pass no `value` that may be secret."""
    if value is not None and len(value) > _MAX_SHOWN:
        value = f"{value[:_MAX_SHOWN]}…"
    got = "" if value is None else f", got {value!r}"
    return ImproperlyConfigured(f"{name} must be {accepted}{got}.")
