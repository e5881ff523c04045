"""Tokens of text, estimated where no upstream counts them.

Four characters of Latin script are about one token, of other scripts about one each.
The vocabularies by which models really count are large, and not in any package.
"""

from decimal import Decimal
from typing import Any

# Members of a request whose text a model reads.
_PROMPT = (
    *("messages", "input", "prompt", "suffix", "instructions", "system", "questions"),
    *("tools", "functions"),
)
_INLINE = "data:"  # a file within the text
_NUMBERS = frozenset({int, float, Decimal})  # each may be the number of a token


def tokens_of(text: str) -> int:
    """Return the estimated tokens of a text."""
    if text.isascii():
        return (len(text) + 3) // 4
    ascii_count = len(text.encode("ascii", "ignore"))
    return (ascii_count + 3) // 4 + (len(text) - ascii_count)


def tokens_of_unread(size: int) -> int:
    """Return the estimated tokens of an answer in an unknown coding, from its bytes.

    Compressed, a token of an answer takes two to four, and in a stream four and more.
    """
    return (size + 3) // 4


def prompt_tokens(body: dict[str, Any]) -> int:
    """Return the estimated tokens of a request: of its values, without the names of members.

    Lists of token numbers are counted by their length, since they may have millions.
    """
    tokens = 0
    stack = [body[name] for name in _PROMPT if name in body]
    while stack:
        value = stack.pop()
        kind = type(value)
        if kind is str:
            tokens += 0 if value.startswith(_INLINE) else tokens_of(value)
        elif kind is list and value and type(value[0]) in _NUMBERS:
            tokens += len(value)
        elif kind is list:
            stack += value
        elif kind is dict:
            stack += value.values()
        elif kind in _NUMBERS:
            tokens += 1
    return tokens
