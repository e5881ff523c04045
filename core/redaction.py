"""Masking keys and tokens in texts that are logged or stored."""

import re

# Our keys and tokens, and upstream keys, which have the same prefix.
_SECRET = re.compile(r"(?<![A-Za-z0-9])(sk-|llmr_pk_)[A-Za-z0-9_-]{16,}")


def without_secrets(text: str) -> str:
    """Return the text with keys and tokens replaced by their prefixes and an ellipsis."""
    return _SECRET.sub(r"\1…", text)
