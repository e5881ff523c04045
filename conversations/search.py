"""Conversations in which words occur, the one last changed first, however many there are.

Rare words are looked up in the index; what it finds is little. A common word is
in so many conversations that reading them in order, until a page is full, costs
less than its index entries. PostgreSQL knows which words are common but
overrates rare ones, and would read a million rows in search of one.
"""

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from conversations import words
from conversations.models import Conversation, ConversationWords

_MATCHES = "words @@ %s::tsquery"
# No join and no EXISTS, which can become one: it is asked of one conversation after
# the other, as they come.
_OCCURS = f"""(
    SELECT true FROM conversation_words
    WHERE conversation_words.conversation_id = {{conversation}}.id AND {_MATCHES}
    LIMIT 1
)"""
# An index entry costs a tenth of reading a row in order: where both ways cost the
# same, a word has the square root of ten times the number of rows.
_COMMON = """
SELECT word FROM (
    SELECT greatest(reltuples, 1) AS total FROM pg_class
    WHERE oid = 'conversation_words'::regclass
) AS all_rows, pg_stats, unnest(
    most_common_elems::text::text[],
    -- Behind the words' own frequencies stand their lowest and highest.
    most_common_elem_freqs[:cardinality(most_common_elems::text::text[])]
) AS listed(word, frequency)
WHERE schemaname = current_schema() AND tablename = 'conversation_words' AND attname = 'words'
    AND word = ANY(%s) AND frequency * total > sqrt(10 * total)
"""


def page(conversations: QuerySet, text: str, *, limit: int, offset: int) -> QuerySet:
    """A page of those conversations in which every word of `text` occurs, in order.

    Words may occur in the title and in any message. Without a word there is no match.
    Three queries, and one more for each rare word.
    """
    within, common = _look_up(text)
    if within is not None:
        if not within:
            return Conversation.objects.none()
        conversations = conversations.filter(id__in=within)
    # OFFSET 0 keeps the order inside: what is behind the page is never looked at.
    candidates, parameters = conversations.values("id").query.sql_with_params()
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
    within, common = _look_up(text)
    if within is not None:
        conversations = conversations.filter(id__in=within)
    for word in common:
        occurs = _OCCURS.format(conversation="conversations")
        conversations = conversations.filter(
            RawSQL(occurs, [_query(word)], output_field=BooleanField())
        )
    return conversations


def _look_up(text: str) -> tuple[set | None, list[str]]:
    """Ids of the conversations that have all rare words, and the common words.

    None instead of ids when no word is rare: then any conversation may match.
    """
    wanted = words.of(text)
    common = _common_among(wanted) if wanted else []
    found = [_having(word) for word in wanted if word not in common]
    if wanted and not found:
        return None, common
    return set.intersection(*found) if found else set(), common


def _common_among(wanted: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_COMMON, [wanted])
        return [word for (word,) in cursor.fetchall()]


def _having(word: str) -> set:
    """Ids of conversations in which the word occurs."""
    rows = ConversationWords.objects.filter(
        RawSQL(_MATCHES, [_query(word)], output_field=BooleanField())
    )
    return set(rows.values_list("conversation_id", flat=True))


def _query(word: str) -> str:
    return f"'{word}'"  # a word has no quotes
