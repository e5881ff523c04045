"""Conversations in which words occur, the one last changed first, however many there are.

Rare words are looked up in the index; what it finds is little. A common word is
in so many conversations that reading them in order, until a page is full, costs
less than its index entries. PostgreSQL itself guesses badly here: it knows only
the most common words, and would read a million rows in search of a rare one.
"""

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from conversations import words
from conversations.models import Conversation

_MATCHES = "words @@ %s::tsquery"
_HAVING = f"SELECT conversation_id FROM conversation_words WHERE {_MATCHES}"
# No join and no EXISTS, which can become one: it is asked of one conversation after
# the other, as they come.
_OCCURS = f"""(
    SELECT true FROM conversation_words
    WHERE conversation_words.conversation_id = {{conversation}}.id AND {_MATCHES}
    LIMIT 1
)"""
# A page of 50 costs 18 us for each conversation it passes, an index entry 1.5 us: where
# both ways cost the same, a word has the square root of 600 times the number of rows.
# What the statistics list as more common is not counted.
_COMMON = """
SELECT word FROM unnest(%s::text[]) AS asked(word), (
    SELECT total, ceil(sqrt(600 * total))::int AS most
    FROM pg_class, greatest(reltuples, 1) AS total WHERE oid = 'conversation_words'::regclass
) AS size
WHERE CASE WHEN word IN (
    SELECT listed.word FROM pg_stats, unnest(
        most_common_elems::text::text[],
        -- Behind the words' own frequencies stand their lowest and highest.
        most_common_elem_freqs[:cardinality(most_common_elems::text::text[])]
    ) AS listed(word, frequency)
    WHERE schemaname = current_schema() AND tablename = 'conversation_words'
        AND attname = 'words' AND frequency * total > most
) THEN true ELSE most < (
    SELECT count(*) FROM (
        SELECT FROM conversation_words WHERE words @@ quote_literal(word)::tsquery LIMIT most + 1
    ) AS entries
) END
"""


def page(conversations: QuerySet, text: str, *, limit: int, offset: int) -> QuerySet:
    """A page of those conversations in which every word of `text` occurs, in order.

    Words may occur in the title and in any message. Without a word there is no match.
    Three queries.
    """
    rare, common = _sorted_out(text)
    if not rare and not common:
        return Conversation.objects.none()
    # OFFSET 0 keeps the order inside: what is behind the page is never looked at.
    candidates, parameters = _with_all(conversations, rare).values("id").query.sql_with_params()
    occurs = " AND ".join([_OCCURS.format(conversation="candidate")] * len(common)) or "TRUE"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM ({candidates} OFFSET 0) AS candidate WHERE {occurs} "
            "LIMIT %s OFFSET %s",
            [*parameters, *map(_query, common), limit, offset],
        )
        ids = [id for (id,) in cursor.fetchall()]
    return Conversation.objects.filter(id__in=ids)


def matching(conversations: QuerySet, text: str) -> QuerySet:
    """All of those conversations in which every word of `text` occurs, for further narrowing."""
    rare, common = _sorted_out(text)
    if not rare and not common:
        return conversations.none()
    found = _with_all(conversations, rare)
    for word in common:
        found = found.filter(_is_true(_OCCURS.format(conversation="conversations"), [word]))
    return found


def _sorted_out(text: str) -> tuple[list[str], list[str]]:
    """The rare and the common words of a text."""
    wanted = words.of(text)
    if not wanted:
        return [], []
    with connection.cursor() as cursor:
        cursor.execute(_COMMON, [wanted])
        common = [word for (word,) in cursor.fetchall()]
    return [word for word in wanted if word not in common], common


def _with_all(conversations: QuerySet, rare: list[str]) -> QuerySet:
    """Those in which all rare words occur. In an array their ids are looked up, never joined."""
    if not rare:
        return conversations
    having = " INTERSECT ".join([_HAVING] * len(rare))
    return conversations.filter(_is_true(f"conversations.id = ANY(ARRAY({having}))", rare))


def _is_true(condition: str, wanted: list[str]) -> RawSQL:
    return RawSQL(condition, [*map(_query, wanted)], output_field=BooleanField())


def _query(word: str) -> str:
    return f"'{word}'"  # a word has no quotes
