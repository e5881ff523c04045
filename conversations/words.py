"""The words of a text, for search: what is stored and what is asked are cut alike.

Words are runs of letters, digits and underscores, without regard to case.
They are cut here and not by PostgreSQL's parser, which costs three times as
much and was the larger part of storing a batch of messages.
"""

import re
from collections.abc import Iterable
from uuid import UUID

_WORD = re.compile(r"\w+")
_LONGEST = 60  # characters of a word that are told apart
_MOST_ASKED = 10  # words of a search that count
# A tsvector holds a megabyte; four bytes a character stay far below it.
_LARGEST_DOCUMENT = 150_000


def of(text: str) -> list[str]:
    """The different words that a search for `text` asks for, ten at most."""
    found = (word[:_LONGEST] for word in _WORD.findall(text.casefold()))
    return list(dict.fromkeys(found))[:_MOST_ASKED]


def documents(texts: Iterable[str], project_id: UUID) -> list[str]:
    """The different words of all texts, separated by spaces, in documents that fit the index.

    Each begins with the project's own word. Empty when there is no word.
    """
    found: set[str] = set()
    for text in texts:
        found.update(_WORD.findall(text.casefold()))
    ready, document, size = [], [], 0
    for word in {word[:_LONGEST] for word in found}:
        document.append(word)
        size += len(word) + 1
        if size > _LARGEST_DOCUMENT:
            ready.append(document)
            document, size = [], 0
    if document:
        ready.append(document)
    return [" ".join([_project(project_id), *document]) for document in ready]


def query(word: str, project_id: UUID | None) -> str:
    """The tsquery text for rows that contain the word, of one project or of all."""
    return f"'{word}'" if project_id is None else f"'{_project(project_id)}' & '{word}'"


def _project(project_id: UUID) -> str:
    """A word that no text has: with it, the index skips other projects' rows."""
    return f"#{project_id.hex}"
