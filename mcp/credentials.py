"""`auth_config`: how this server proves itself to an MCP server.

    {"type": "bearer", "token": …}
    {"type": "api_key", "key": …, "header": "X-API-Key"}
    {"type": "basic", "username": …, "password": …}
    {"type": "oauth2", "token_url": …, "client_id": …, "client_secret": …, "scope": …}

Other objects are kept, sealed and masked the same, but no call can use them.
Source: docs/http-contract/mcp.md, "Credentials".
"""

import re
from urllib.parse import urlsplit

from core.errors import InvalidInput, issue
from core.secrets import Sealed, SecretUnreadable

MASK = "••••"
_SHOWN_END = 4  # characters that the mask of a key shows; of a password it shows nothing
# What is no secret. Every other text in the object is one.
_PUBLIC = {
    *("type", "header", "username", "client_id", "token_url", "scope", "scopes", "audience"),
    *("resource", "token_endpoint_auth_method"),
}
# Members without which a type is of no use; of those in a tuple, one.
_NEEDED = {
    "none": [],
    "bearer": ["token"],
    "api_key": [("key", "api_key", "token", "value")],
    "basic": ["username", "password"],
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
_OURS = {
    *("host", "accept", "connection", "content-length", "content-type", "transfer-encoding"),
    *("te", "upgrade", "cookie", "last-event-id"),
}


def kind(config: dict) -> str:
    """`none`, `bearer`, `api_key`, `basic` or `oauth2`; "" when the object is none of them."""
    named = config.get("type")
    if isinstance(named, str):
        name = named.strip().lower()
        return _SYNONYMS.get(name, name) if _SYNONYMS.get(name, name) in _NEEDED else ""
    for found in ("oauth2", "basic", "bearer", "api_key"):
        if named is None and not _missing(config, found):
            return found
    return ""


def api_key_of(config: dict) -> tuple[str, str]:
    """Header and key of a config of the kind `api_key`."""
    key = next(config[name] for name in _NEEDED["api_key"][0] if config.get(name))
    return config.get("header") or "X-API-Key", key


def check(config: dict) -> None:
    """Raises InvalidInput when a config of a known type cannot be used."""
    found = kind(config)
    if missing := _missing(config, found) if found else None:
        raise _refusal("missing", [missing], "Field required")
    if found == "api_key":
        header = api_key_of(config)[0]
        own = isinstance(header, str) and header.lower()
        if not own or not _TOKEN.fullmatch(header) or own in _OURS or own.startswith("mcp-"):
            raise _refusal("value_error", ["header"], "Input should be the name of a free header")
    if found == "oauth2":
        _check_oauth(config)
    for name, value in config.items():
        if isinstance(value, str) and any(ord(character) < 32 for character in value):
            raise _refusal("value_error", [name], "Input should not contain control characters")


def _check_oauth(config: dict) -> None:
    if not _is_plain_address(config["token_url"]):
        message = "Input should be an http or https address without a password"
        raise _refusal("value_error", ["token_url"], message)
    for name in ("scope", "scopes", "audience", "resource"):
        value = config.get(name)
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(text, str) for text in texts):
            raise _refusal("value_error", [name], "Input should be a text or a list of texts")


def masked(config: object) -> object:
    """The same with every secret as `••••` and, if it is a key, its last four characters."""
    if isinstance(config, dict):
        return {name: _masked_member(name, value) for name, value in config.items()}
    if isinstance(config, list):
        return [masked(value) for value in config]
    if config is None or isinstance(config, bool):
        return config
    text = str(config)
    return MASK + (text[-_SHOWN_END:] if len(text) >= 2 * _SHOWN_END else "")


def _masked_member(name: str, value: object) -> object:
    if name in _PUBLIC and isinstance(value, str):
        return value
    # People choose passwords, and half of one is a hint; keys are long and random.
    return MASK if name == "password" and isinstance(value, str) else masked(value)


def shown(sealed: Sealed | None) -> object:
    """What a reply shows of a sealed config."""
    if sealed is None:
        return None
    try:
        return masked(sealed.open())
    except SecretUnreadable as error:
        return {"unreadable": str(error)}


def unmasked(config: dict, sealed: Sealed | None) -> dict:
    """The config with the stored secrets in place of their own masks.

    Raises InvalidInput for a mask of anything else: it would be stored as a secret.
    """
    if not has_mask(config):
        return config
    stored = sealed.open() if sealed else {}
    # Who cannot read the secret must not have it sent to a token server of their choice.
    if config.get("token_url") != stored.get("token_url"):
        message = "The address changes: send the secrets again"
        raise _refusal("value_error", ["token_url"], message)
    return _unmasked(config, stored, [])


def is_masked(value: object) -> bool:
    return isinstance(value, str) and value.startswith(MASK)


def _unmasked(value: object, stored: object, path: list) -> object:
    if isinstance(value, dict):
        known = stored if isinstance(stored, dict) else {}
        return {
            name: _unmasked(each, known.get(name), [*path, name]) for name, each in value.items()
        }
    if isinstance(value, list):
        known = dict(enumerate(stored)) if isinstance(stored, list) else {}
        return [_unmasked(each, known.get(n), [*path, n]) for n, each in enumerate(value)]
    if not is_masked(value):
        return value
    if isinstance(stored, str | int | float) and value in (MASK, masked(stored)):
        return stored
    raise _refusal("value_error", path, "Input is a masked value; send the secret itself")


def has_mask(value: object) -> bool:
    """Whether a masked value is anywhere in it."""
    if isinstance(value, dict | list):
        return any(map(has_mask, value.values() if isinstance(value, dict) else value))
    return is_masked(value)


def _missing(config: dict, kind: str) -> str | None:
    for names in _NEEDED[kind]:
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


def _refusal(type: str, path: list, message: str) -> InvalidInput:
    # The input is not repeated: it is a secret, or stands beside one.
    return InvalidInput([issue(type, ["body", "auth_config", *path], message, None)])
