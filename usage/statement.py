"""The one statement that writes usage logs, whether one or thousands.

It takes the rows as one JSON list, inserts those that are new, adds them to
their days' sums, and tells how many were new, and which of those with an event id. One statement
is one round trip, one commit and one flush to disk; PostgreSQL reads JSON for
a fraction of what binding each column costs us, and unlike COPY it can skip a
repeated event.
"""

from collections.abc import Sequence

_COLUMNS = {
    "id": "uuid",
    "project_id": "uuid",
    "api_key_id": "uuid",
    "user_id": "uuid",
    "created_at": "timestamptz",
    "provider": "text",
    "model": "text",
    "alias": "text",
    "profile": "text",
    "origin": "text",
    "id_at_origin": "text",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "cached_input_tokens": "bigint",
    "cost": "numeric",
    "cost_source": "text",
    "snapshot_id": "bigint",
    "latency_ms": "bigint",
    "event_id": "text",
    "fingerprint": "text",
    "metadata": "jsonb",
}
_NAMES = ", ".join(_COLUMNS)
# The conversation that the client names, if it is one of the project's own. Asked
# of the table itself: the app that owns it builds upon this one.
_CONVERSATION = """
    SELECT conversations.id FROM conversations
    WHERE conversations.id = named_conversation AND conversations.project_id = incoming.project_id
"""
_SUMS = (
    "requests",
    "unpriced_requests",
    "cost",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
)

INSERT = f"""
WITH incoming AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
    AS row({", ".join(f"{name} {type}" for name, type in _COLUMNS.items())},
        named_conversation uuid)
), inserted AS (
    -- In this order, and the sums in theirs: two writers never wait for each other in a circle.
    INSERT INTO usage_logs ({_NAMES}, conversation_id)
    SELECT {_NAMES}, ({_CONVERSATION}) FROM incoming ORDER BY project_id, event_id
    -- Also without an event id: a statement repeated after a lost connection finds its rows.
    ON CONFLICT DO NOTHING
    RETURNING *
), labelled AS (
    SELECT project_id, (created_at AT TIME ZONE 'UTC')::date AS day, provider, model,
        coalesce(alias, '') AS alias, coalesce(origin, '') AS origin, profile,
        count(*) AS requests, count(*) FILTER (WHERE cost IS NULL) AS unpriced_requests,
        coalesce(sum(cost), 0) AS cost, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens, sum(cached_input_tokens) AS cached_input_tokens
    FROM inserted GROUP BY 1, 2, 3, 4, 5, 6, 7
), summed AS (
    INSERT INTO usage_daily AS daily (
        project_id, day, labels, provider, model, alias, origin, profile, {", ".join(_SUMS)}
    )
    SELECT project_id, day,
        sha256(convert_to(
            jsonb_build_array(provider, model, alias, origin, profile)::text, 'UTF8'
        )) AS labels,
        provider, model, alias, origin, profile, {", ".join(_SUMS)}
    FROM labelled
    ORDER BY 1, 2, 3
    ON CONFLICT (project_id, day, labels) DO UPDATE SET
        {", ".join(f"{name} = daily.{name} + excluded.{name}" for name in _SUMS)}
)
SELECT count(*), array_agg(id) FILTER (WHERE event_id IS NOT NULL) FROM inserted
"""


def parameters(texts: Sequence[bytes]) -> list[str]:
    """The parameter of INSERT from the rows' JSON texts."""
    return [(b"[" + b",".join(texts) + b"]").decode()]
