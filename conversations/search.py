"""Searching conversations by words, the one last changed first, however many there are.

Words are runs of letters, digits and underscores, without regard to case or to how a
character is encoded: full-width forms, ligatures, decomposed accents. They are cut
here and not by PostgreSQL's parser, which costs three times as much and was the larger
part of storing a batch of messages. Chinese, Japanese, Thai and the like have no spaces
between words, and Korean writes particles onto them: there each pair of characters is
indexed, and a search asks for the pairs of its text.

Rare words are looked up in the index; what it returns is little. A common word is in so
many conversations that reading them in order, until a page is full, costs less than its
index entries. PostgreSQL itself guesses badly here: it knows only the most common words,
and would read a million rows in search of a rare one.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

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
# No word goes on past one of these, however it is encoded, nor do they combine with one.
_BETWEEN_WORDS = re.compile(r"[\s!-/:-@\[-^`{-~\u3001\u3002]")
# Putting combining marks in order takes quadratic time. A run of them is cut where the
# Stream-Safe Text Format (UAX #15) would break it; no language has so many.
_MAX_MARKS = 30
# These become combining marks, though they are none.
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
    """Return a piece of text as it is compared: Unicode's NFKC_Casefold, nearly."""
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
    found = (word for piece in _pieces(text) for word in _words(_folded(piece), of_query=True))
    return list(dict.fromkeys(found))[:MAX_QUERY_WORDS]


def index_texts(texts: Iterable[str]) -> list[str]:
    """Return the different words of all texts, in space-separated texts that fit a tsvector.

    The last of more than `MAX_WORDS` are left out.
    """
    found: set[str] = set()
    for chunks in _chunks(texts):
        found.update(_words(" ".join(chunks)))
        if len(found) >= MAX_WORDS:
            break
    words = list(found)
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
    """Yield what stands between white space in the folded texts, a piece's worth at a time.

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


_MATCHES = "words @@ %s::tsquery"
_CONVERSATIONS_WITH = f"SELECT conversation_id FROM conversation_words WHERE {_MATCHES}"
# No join and no EXISTS, which can become one: it is asked of one conversation after
# the other, as they come.
_OCCURS = f"""(
    SELECT true FROM conversation_words
    WHERE conversation_words.project_id = {{conversation}}.project_id
        AND conversation_words.conversation_id = {{conversation}}.id AND {_MATCHES}
    LIMIT 1
)"""
# A page of 50 costs 18 us for each conversation it passes, an index entry 1.5 us: where
# both ways cost the same, a word has the square root of 600 times the number of rows.
# What the statistics list as more common is not counted.
_COMMON = """
SELECT word FROM unnest(%s::text[]) AS asked(word), (
    SELECT total, ceil(sqrt(600 * total))::int AS threshold
    FROM pg_class, greatest(reltuples, 1) AS total WHERE oid = 'conversation_words'::regclass
) AS size
WHERE CASE WHEN word IN (
    SELECT listed.word FROM pg_stats, unnest(
        most_common_elems::text::text[],
        -- After the words' own frequencies come the lowest and the highest of them.
        most_common_elem_freqs[:cardinality(most_common_elems::text::text[])]
    ) AS listed(word, frequency)
    WHERE schemaname = current_schema() AND tablename = 'conversation_words'
        AND attname = 'words' AND frequency * total > threshold
) THEN true ELSE threshold < (
    SELECT count(*) FROM (
        SELECT FROM conversation_words WHERE words @@ quote_literal(word)::tsquery
        LIMIT threshold + 1
    ) AS entries
) END
"""


def page(
    conversations: QuerySet, text: str, *, project_id: UUID, limit: int, offset: int
) -> QuerySet:
    """Return a page of a project's conversations in which every word of `text` occurs.

    Words may occur in the title and in any message. Without a word there is no match.
    Three queries.
    """
    rare, common = _by_frequency(text)
    if not rare and not common:
        return conversations.none()
    candidates = _with_all(conversations, rare, project_id).values("id", "project_id")
    sql, parameters = candidates.query.sql_with_params()
    occurs = " AND ".join([_OCCURS.format(conversation="candidate")] * len(common)) or "TRUE"
    with connection.cursor() as cursor:
        # OFFSET 0 keeps the order inside: what is behind the page is never looked at.
        cursor.execute(
            f"SELECT id FROM ({sql} OFFSET 0) AS candidate WHERE {occurs} LIMIT %s OFFSET %s",
            [*parameters, *map(_tsquery, common), limit, offset],
        )
        ids = [id for (id,) in cursor.fetchall()]
    return conversations.filter(id__in=ids)


def matching(conversations: QuerySet, text: str) -> QuerySet:
    """Return those conversations, of any project, in which every word of `text` occurs."""
    rare, common = _by_frequency(text)
    if not rare and not common:
        return conversations.none()
    matches = _with_all(conversations, rare)
    for word in common:
        occurs = _OCCURS.format(conversation="conversations")
        matches = matches.filter(_is_true(occurs, [_tsquery(word)]))
    return matches


def _by_frequency(text: str) -> tuple[list[str], list[str]]:
    """Return the rare and the common words of a text."""
    words = query_words(text)
    if not words:
        return [], []
    with connection.cursor() as cursor:
        cursor.execute(_COMMON, [words])
        common = [word for (word,) in cursor.fetchall()]
    return [word for word in words if word not in common], common


def _with_all(
    conversations: QuerySet, words: list[str], project_id: UUID | None = None
) -> QuerySet:
    """Return those in which all the rare words occur; of one project, or of all.

    In an array their ids are looked up, never joined.
    """
    if not words:
        return conversations
    part, parameters = _CONVERSATIONS_WITH, [[_tsquery(word)] for word in words]
    if project_id is not None:
        part += " AND project_id = %s"
        parameters = [[*own, project_id] for own in parameters]
    ids = " INTERSECT ".join([part] * len(words))
    condition = f"conversations.id = ANY(ARRAY({ids}))"
    return conversations.filter(_is_true(condition, sum(parameters, [])))


def _is_true(condition: str, parameters: list) -> RawSQL:
    return RawSQL(condition, parameters, output_field=BooleanField())


def _tsquery(word: str) -> str:
    return f"'{word}'"  # a word has no quotes
