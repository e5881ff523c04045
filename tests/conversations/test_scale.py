"""Listing, opening and searching read as much of a large table as of a small one.

Counted in pages that PostgreSQL reads, not in time: time is not the same twice.
"""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations import services
from conversations.models import Conversation

pytestmark = pytest.mark.django_db(transaction=True)

SMALL, LARGE = 20, 4000  # conversations of 20 messages each
MOST_PAGES = 400

# `uuid7()` of ours is not needed here: any id will do.
SEED = """
WITH made AS (
    INSERT INTO conversations (id, project_id, api_key_id, title, model_alias, temperature,
        message_count, last_position, total_input_tokens, total_output_tokens, total_cost,
        created_at, updated_at)
    SELECT gen_random_uuid(), %(project)s, %(key)s, 'Number ' || n, 'default', 0.7,
        20, 20, 0, 0, 0, now(), now() + n * interval '1 second'
    FROM generate_series(1, %(count)s) AS n
    RETURNING id, title
), said AS (
    INSERT INTO messages (id, conversation_id, project_id, api_key_id, position, role, content,
        metadata, timestamp)
    SELECT gen_random_uuid(), made.id, %(project)s, %(key)s, n, 'user', 'text', '{}', now()
    FROM made, generate_series(1, 20) AS n
)
INSERT INTO conversation_words (id, conversation_id, project_id, is_title, words)
SELECT gen_random_uuid(), made.id, %(project)s, false, array_to_tsvector(ARRAY[
        'the', 'w' || (n * 7919 + ascii(made.id::text)) %% 5000,
        CASE WHEN made.title = 'Number 10' AND n = 3 THEN 'needle' ELSE 'straw' END
    ])
FROM made, generate_series(1, 20) AS n
"""


def seed(api, count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SEED, {"project": api.project.id, "key": api.api_key_id, "count": count})
        # As autovacuum does within a minute of such a load.
        for table in ("conversations", "messages", "conversation_words"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def work(api, path: str, query: dict | None = None) -> tuple[int, int]:
    """Queries of a request, and the pages that they read."""
    with CaptureQueriesContext(connection) as captured:
        api.read(path, query)
    pages = 0
    with connection.cursor() as cursor:
        for result in captured:
            sql = result["sql"]
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
            plan = cursor.fetchone()[0]
            plan = json.loads(plan) if isinstance(plan, str) else plan
            node = plan[0]["Plan"]
            pages += node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    return len(captured), pages


REQUESTS = {
    "list": ("/conversations", None),
    "labels": ("/conversations", {"model_alias": "default"}),
    "open": ("/conversations/{id}", None),
    "messages": ("/conversations/{id}/messages", None),
    "rare word": ("/conversations", {"q": "needle"}),
    "common word": ("/conversations", {"q": "the"}),
    "both": ("/conversations", {"q": "straw needle the"}),
    "no such word": ("/conversations", {"q": "nothing"}),
}


def measured(client, count: int) -> dict[str, tuple[int, int]]:
    seed(client, count)
    newest = Conversation.objects.filter(project_id=client.project.id).first()
    return {
        name: work(client, path.format(id=newest.id), query)
        for name, (path, query) in REQUESTS.items()
    }


@pytest.mark.slow
def test_work_does_not_grow_with_the_tables(api, other_api, monkeypatch):
    # On the connection whose queries are counted.
    monkeypatch.setattr(services, "pooled_cursor", connection.cursor)
    few = measured(api, SMALL)
    many = measured(other_api, LARGE)
    # Reading a whole table would show.
    assert min(map(pages_of, ("messages", "conversation_words"))) > 2 * MOST_PAGES
    for name in REQUESTS:
        (few_queries, _), (many_queries, pages) = few[name], many[name]
        assert many_queries == few_queries <= 6, name
        assert pages <= MOST_PAGES, name


def pages_of(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s::regclass) / 8192", [table])
        return cursor.fetchone()[0]
