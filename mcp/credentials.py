"""Validate `auth_config`, the credentials for an MCP server.

    {"type": "bearer", "token": …}
    {"type": "api_key", "key": …, "header": "X-API-Key"}
    {"type": "basic", "username": …, "password": …}
    {"type": "headers", "headers": {name: value, …}}
    {"type": "oauth2", "token_url": …, "client_id": …, "client_secret": …, "scope": …}

Credentials that no call could use are refused.
Source: docs/http-contract/mcp.md, "Credentials".
"""

import re
from urllib.parse import urlsplit

from core.errors import InvalidInput, issue

# Required members by type; of a tuple, one is enough.
_REQUIRED = {
    "none": [],
    "bearer": ["token"],
    "api_key": [("key", "api_key", "token", "value")],
    "basic": ["username", "password"],
    "headers": [],
    "oauth2": ["token_url", "client_id", "client_secret"],
}
_SYNONYMS = {
    "oauth": "oauth2",
    "client_credentials": "oauth2",
    "oauth2_client_credentials": "oauth2",
    "oauth_client_credentials": "oauth2",
    "apikey": "api_key",
    "api-key": "api_key",
    "header": "api_key",
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, 5.6.2
_RESERVED_HEADERS = {
    *("host", "accept", "connection", "content-length", "content-type", "transfer-encoding"),
    *("te", "upgrade", "cookie", "last-event-id"),
}


def kind(config: dict) -> str:
    """Return the type of the config, or "" for an unknown one; {} is `none`."""
    named = config.get("type")
    if isinstance(named, str):
        name = named.strip().lower()
        return _SYNONYMS.get(name, name) if _SYNONYMS.get(name, name) in _REQUIRED else ""
    if not config:
        return "none"
    for candidate in ("oauth2", "basic", "bearer", "api_key"):
        if named is None and not _missing(config, candidate):
            return candidate
    return "headers" if named is None and "headers" in config else ""


def api_key_of(config: dict) -> tuple[str, str]:
    """Return the header name and the key of an `api_key` config."""
    key = next(config[name] for name in _REQUIRED["api_key"][0] if config.get(name))
    return config.get("header") or "X-API-Key", key


def check(config: dict) -> None:
    """Raise InvalidInput for a config of a known type that cannot be used."""
    type = kind(config)
    if not type:
        expected = ", ".join(_REQUIRED)
        raise invalid("value_error", ["type"], f"Input should be one of {expected}")
    if missing := _missing(config, type):
        raise invalid("missing", [missing], "Field required")
    if type == "api_key" and not _is_free_header(api_key_of(config)[0]):
        raise invalid("value_error", ["header"], "Input should be the name of a free header")
    if type == "headers":
        _check_headers(config.get("headers"))
    if type == "oauth2":
        _check_oauth(config)
    for name, value in config.items():
        if not isinstance(value, str):
            continue
        if any(ord(character) < 32 for character in value):
            raise invalid("value_error", [name], "Input should not contain control characters")
        if type in ("bearer", "api_key") and not _is_header_value(value):
            raise invalid("value_error", [name], "Input should be text that a header can hold")


def _check_headers(headers: object) -> None:
    if not isinstance(headers, dict) or not headers:
        raise invalid("dict_type", ["headers"], "Input should be a valid dictionary with a header")
    if len({name.lower() for name in headers}) < len(headers):
        raise invalid("value_error", ["headers"], "Input should name each header once")
    for name, value in headers.items():
        if not _is_free_header(name):
            raise invalid("value_error", ["headers", name], "Input should name a free header")
        if not isinstance(value, str) or not _is_header_value(value):
            message = "Input should be text that a header can hold"
            raise invalid("value_error", ["headers", name], message)


def _is_header_value(value: str) -> bool:
    """Return whether the text can be sent in a header: Latin-1 without outer spaces."""
    is_printable = all(32 <= ord(character) < 256 and ord(character) != 127 for character in value)
    return is_printable and value == value.strip() and bool(value)


def _is_free_header(header: object) -> bool:
    """Return whether the name can be a header, and neither HTTP nor MCP uses it itself."""
    return (
        isinstance(header, str)
        and _TOKEN.fullmatch(header) is not None
        and header.lower() not in _RESERVED_HEADERS
        and not header.lower().startswith("mcp-")
    )


def _check_oauth(config: dict) -> None:
    if not _is_plain_address(config["token_url"]):
        message = "Input should be an http or https address without a password"
        raise invalid("value_error", ["token_url"], message)
    for name in ("scope", "scopes", "audience", "resource"):
        value = config.get(name)
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(text, str) for text in texts):
            raise invalid("value_error", [name], "Input should be a text or a list of texts")


def _missing(config: dict, kind: str) -> str | None:
    for names in _REQUIRED[kind]:
        names = (names,) if isinstance(names, str) else names
        if not any(isinstance(config.get(name), str) and config[name] for name in names):
            return names[0]
    return None


def _is_plain_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:
        return False


def invalid(type: str, path: list, message: str) -> InvalidInput:
    """Return the error about a member of the config, or with an empty path about all of it."""
    # The input is not echoed: it is a secret, or contains one.
    return InvalidInput([issue(type, ["body", "auth_config", *path], message, None)])
