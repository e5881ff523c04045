"""Tokens of text, estimated where no upstream counts them.

Four characters of Latin script are about one token, of other scripts about one each.
The vocabularies by which models really count are large, and not in any package.
"""

from collections.abc import Iterator
from typing import Any

# Members of a request whose text a model reads.
_PROMPT = ("messages", "input", "prompt", "instructions", "system", "tools", "functions")
_INLINE = "data:"  # a file within the text


def tokens_of(text: str) -> int:
    """Return the estimated tokens of a text."""
    if text.isascii():
        return (len(text) + 3) // 4
    ascii_count = sum(map(str.isascii, text))
    return (ascii_count + 3) // 4 + (len(text) - ascii_count)


def prompt_tokens(body: dict[str, Any]) -> int:
    """Return the estimated tokens of a request; lists of token numbers are counted."""
    parts = (body[name] for name in _PROMPT if name in body)
    return sum(_tokens(part) for value in parts for part in _leaves(value))


def _tokens(leaf: Any) -> int:
    if isinstance(leaf, str):
        return 0 if leaf.startswith(_INLINE) else tokens_of(leaf)
    return 1  # a token's number


def _leaves(value: Any) -> Iterator[Any]:
    """Yield texts and numbers, of the values in an object and not of its names."""
    stack = [value]
    while stack:
        match stack.pop():
            case dict() as members:
                stack += members.values()
            case list() as items:
                stack += items
            case bool() | None:
                pass
            case leaf:
                yield leaf
