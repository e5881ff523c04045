"""Searching conversations by words, the one last changed first, however many there are.

Rare words are looked up in the index; what it returns is little. A common word is in so
many conversations that reading them in order, until a page is full, costs less than its
index entries. PostgreSQL itself guesses badly here: it knows only the most common words,
and would read a million rows in search of a rare one.
"""

from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from conversations.word_splitting import query_words

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
