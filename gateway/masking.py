"""Upstream keys and tokens as replies show them.

Source: docs/gateway.md, section "Management API".
"""

import re

# Not the documentation's `sk-...`, which ends with its dots: the upstream refuses it.
_MASKED = re.compile(r"\*|…|.\.\.\..")


def masked(key: str) -> str:
    """Return the key with only its ends readable: `sk-ABCDE...UVWX`."""
    if len(key) > 12:
        return f"{key[:8]}...{key[-4:]}"
    shown = 2 if len(key) > 4 else 0
    return key[:shown] + "*" * (len(key) - shown)


def masked_token(token: str) -> str:
    """Return the token with only its ends readable: `sk-AaH7**************hDCQ`."""
    return f"{token[:7]}{'*' * (len(token) - 11)}{token[-4:]}"


def is_masked(key: str) -> bool:
    """Return whether a key that was sent is what a reply showed of one."""
    return bool(_MASKED.search(key))
