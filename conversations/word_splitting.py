"""The words of texts, as they are indexed and searched for.

Words are runs of letters, digits and underscores, without regard to case or to how a
character is encoded: full-width forms, ligatures, decomposed accents. They are split
here and not by PostgreSQL's parser, which costs three times as much and was the larger
part of storing a batch of messages. Chinese, Japanese, Thai and the like have no spaces
between words, and Korean writes particles onto them: there each pair of characters is
indexed, and a search asks for the pairs of its text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

_WORD = re.compile(r"\w+")
# Thai, Lao, Myanmar, Khmer; kana, Han, Hangul.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
# A word, or what stands together in these scripts.
_WORD_OR_RUN = re.compile(rf"(?:(?!\W)[{_UNSPACED}])+|(?:(?![{_UNSPACED}])\w)+")
# Soft hyphens and joiners, which stand inside of words.
_INVISIBLE = dict.fromkeys([0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF])
MAX_WORD_LENGTH = 60  # characters; longer words are the same when these are
MAX_QUERY_WORDS = 10  # further words of a search do not count
# Of one request; a long novel has a tenth as many. PostgreSQL takes a second to index them.
MAX_WORDS = 250_000
# A tsvector holds a megabyte; four bytes a character stay far below it.
_MAX_TEXT_LENGTH = 200_000

# Characters; what is written in C gets no more of a text at once, so that other threads run.
_PIECE = 16 * 1024
# Characters that end any word, however it is encoded, and never combine with one.
_BETWEEN_WORDS = re.compile(r"[\s!-/:-@\[-^`{-~\u3001\u3002]")
# Putting combining marks in order takes quadratic time. A run of them is cut where the
# Stream-Safe Text Format (UAX #15) would break it; no language has so many.
_MAX_MARKS = 30
# These become combining marks when they are normalized.
_LATE_MARKS = "\u0f73\u0f75\u0f81\uff9e\uff9f"
_LONG_RUN = re.compile(rf"[\W{_LATE_MARKS}]{{{_MAX_MARKS + 1},}}")


def _pieces(text: str) -> list[str]:
    """Return the text in pieces, cut between words unless one is longer than a piece."""
    pieces, start = [], 0
    while len(text) - start > _PIECE:
        limit = start + 2 * _PIECE
        between = _BETWEEN_WORDS.search(text, start + _PIECE, limit)
        end = between.start() if between else limit
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]


def _folded(piece: str) -> str:
    """Return a piece of text in the form that is compared: nearly Unicode's NFKC_Casefold."""
    if piece.isascii():
        return piece.lower()
    visible = _LONG_RUN.sub(_without_surplus_marks, piece.translate(_INVISIBLE))
    folded = unicodedata.normalize("NFKC", visible).casefold()
    return unicodedata.normalize("NFKC", folded)


def _without_surplus_marks(run: re.Match) -> str:
    kept, marks = [], 0
    for character in run[0]:
        is_mark = unicodedata.combining(character) or character in _LATE_MARKS
        marks = marks + 1 if is_mark else 0
        if marks <= _MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def query_words(text: str) -> list[str]:
    """Return the different words that a search for `text` asks for, ten at most."""
    words = (word for piece in _pieces(text) for word in _words(_folded(piece), of_query=True))
    return list(dict.fromkeys(words))[:MAX_QUERY_WORDS]


def index_texts(texts: Iterable[str]) -> list[str]:
    """Return the different words of all texts, in space-separated texts that fit a tsvector.

    The last of more than `MAX_WORDS` are left out.
    """
    distinct: set[str] = set()
    for chunks in _chunks(texts):
        distinct.update(_words(" ".join(chunks)))
        if len(distinct) >= MAX_WORDS:
            break
    words = list(distinct)
    step = _MAX_TEXT_LENGTH // (MAX_WORD_LENGTH + 1)
    return [" ".join(words[start : start + step]) for start in range(0, len(words), step)]


def _words(text: str, *, of_query: bool = False) -> list[str]:
    """Return the words of a folded text; in scripts without spaces, its pairs of characters.

    Each such character is a word of its own, too, but not in queries with more than one.
    """
    if text.isascii() or not _IS_UNSPACED.search(text):
        return [word[:MAX_WORD_LENGTH] for word in _WORD.findall(text)]
    words: list[str] = []
    for word in _WORD_OR_RUN.findall(text):
        if not _IS_UNSPACED.match(word):
            words.append(word[:MAX_WORD_LENGTH])
            continue
        if len(word) == 1 or not of_query:
            words += word
        words += map("".join, pairwise(word))
    return words


def _chunks(texts: Iterable[str]) -> Iterator[set[str]]:
    """Yield the chunks between white space in the folded texts, a piece's worth at a time.

    Cutting there is quick, and only what differs is then cut into words.
    """
    chunks: set[str] = set()
    size = 0
    for text in texts:
        for piece in _pieces(text):
            chunks.update(_folded(piece).split())
            size += len(piece)
            if size > _PIECE:
                yield chunks
                chunks, size = set(), 0
    yield chunks
