"""The words of a text, for search: what is stored and what is asked are cut alike.

Words are runs of letters, digits and underscores, without regard to case.
They are cut here and not by PostgreSQL's parser, which costs three times as
much and was the larger part of storing a batch of messages.
"""

import re
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
_LONGEST = 60  # characters of a word that are told apart
_MOST_ASKED = 10  # words of a search that count
# A tsvector holds a megabyte; four bytes a character stay far below it.
_LARGEST_DOCUMENT = 200_000


def of(text: str) -> list[str]:
    """The different words that a search for `text` asks for, ten at most."""
    found = (word[:_LONGEST] for word in _WORD.findall(text.casefold()))
    return list(dict.fromkeys(found))[:_MOST_ASKED]


def documents(texts: Iterable[str]) -> list[str]:
    """The different words of all texts, separated by spaces, in documents that fit the index."""
    # Cut at white space first, which is quick, and only what differs is cut further.
    chunks = set("\n".join(texts).casefold().split())
    different = list({word[:_LONGEST] for word in _WORD.findall(" ".join(chunks))})
    step = _LARGEST_DOCUMENT // (_LONGEST + 1)
    return [" ".join(different[start : start + step]) for start in range(0, len(different), step)]
