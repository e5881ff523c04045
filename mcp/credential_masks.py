"""Mask the secrets of an `auth_config` in replies, and put stored ones in place of masks.

Source: docs/http-contract/mcp.md, "Credentials".
"""

from core.errors import InvalidInput
from core.secrets import Sealed, SecretUnreadable
from mcp.credentials import invalid

MASK = "••••"
_VISIBLE_SUFFIX = 4  # characters of a key that its mask shows; none of a password
# Members of the object itself; every other string in it is a secret, as of a header `scope`.
_PUBLIC = {
    *("type", "header", "username", "client_id", "token_url", "scope", "scopes", "audience"),
    *("resource", "token_endpoint_auth_method"),
}


def masked(config: object) -> object:
    """Return the config with every secret as `••••` and the last four characters of keys."""
    if not isinstance(config, dict):
        return _masked(config)
    return {
        name: value if _is_public(name, value) else _masked_member(name, value)
        for name, value in config.items()
    }


def _is_public(name: str, value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return name in _PUBLIC and all(isinstance(text, str) for text in texts)


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return {name: _masked_member(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    return MASK + (text[-_VISIBLE_SUFFIX:] if len(text) >= 2 * _VISIBLE_SUFFIX else "")


def _masked_member(name: str, value: object) -> object:
    # Passwords are short and chosen by people, so even four characters are a hint.
    return MASK if name == "password" and isinstance(value, str) else _masked(value)


def redact(error: InvalidInput) -> InvalidInput:
    """Return the error without the credentials in the inputs that it repeats."""
    return InvalidInput([_redacted(issue) for issue in error.issues])


def _redacted(issue: dict) -> dict:
    if "auth_config" in issue["loc"]:
        return {**issue, "input": None}
    if isinstance(issue["input"], dict) and "auth_config" in issue["input"]:
        return {**issue, "input": {**issue["input"], "auth_config": MASK}}
    return issue


def may_hold_secrets(sealed: Sealed | None) -> bool:
    """Return whether there is a secret in a sealed config, or it cannot be read."""
    if sealed is None:
        return False
    try:
        config = sealed.open()
    except SecretUnreadable:
        return True
    return masked(config) != config


def masked_config(sealed: Sealed | None) -> object:
    """Return the masked form of a sealed config, as replies show it."""
    if sealed is None:
        return None
    try:
        return masked(sealed.open())
    except SecretUnreadable as error:
        return {"unreadable": str(error)}


def unmasked(config: dict, sealed: Sealed | None) -> dict:
    """Return the config with stored secrets in place of their masks.

    Raises InvalidInput for a mask that stands for nothing stored here: it would itself
    be stored as a secret.
    """
    if not has_mask(config):
        return config
    stored = sealed.open() if sealed else {}
    # A caller who cannot read the secret must not redirect it to another token server.
    if config.get("token_url") != stored.get("token_url"):
        message = "The address changes: send the secrets again"
        raise invalid("value_error", ["token_url"], message)
    return _unmasked(config, stored, [])


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
    raise invalid("value_error", path, "Input is a masked value; send the secret itself")


def is_masked(value: object) -> bool:
    return isinstance(value, str) and value.startswith(MASK)


def has_mask(value: object) -> bool:
    """Return whether the value contains a masked value at any depth."""
    if isinstance(value, dict | list):
        return any(map(has_mask, value.values() if isinstance(value, dict) else value))
    return is_masked(value)
